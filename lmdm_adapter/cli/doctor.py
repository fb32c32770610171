"""`lmdm doctor`: what is installed, what is broken, and the cure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmdm_adapter.cli.options import JsonOption, VerboseOption
from lmdm_adapter.errors import LmdmError

if TYPE_CHECKING:
    from lmdm_adapter.cli.diagnosis import Finding
    from lmdm_adapter.cli.environment import Environment


def doctor(json: JsonOption = None, verbose: VerboseOption = False) -> None:
    """Say what is installed, which known breaks this environment has, and how to cure each.

    Exit code 0 means that `lmdm stream` can run here; breaks of host packages alone do not change that. Host packages,
    torchaudio and torchvision are looked at without importing them: broken ones could end this program.
    """
    from lmdm_adapter.cli.diagnosis import diagnose
    from lmdm_adapter.cli.survey import survey
    from lmdm_adapter.io.atomic import require_writable, write_json

    if json is not None:
        require_writable(json)
    environment = survey()
    findings = diagnose(environment)
    blocking = [finding for finding in findings if finding.blocks]
    if json is not None:
        write_json(json, _report(environment, findings))
    _show(environment, findings)
    if blocking:
        raise LmdmError(f"lmdm cannot stream here: {'; '.join(finding.symptom for finding in blocking)}.")


def _report(environment: Environment, findings: tuple[Finding, ...]) -> dict[str, object]:
    return {
        "can_stream": not any(finding.blocks for finding in findings),
        "environment": environment.to_json(),
        "findings": [finding.to_json() for finding in findings],
    }


def _show(environment: Environment, findings: tuple[Finding, ...]) -> None:
    from lmdm_adapter.cli.screen import say

    rows = environment.lines()
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        say(f"{name:<{width}}  {value}")
    say("")
    for finding in findings:
        say(finding.line())
    if not findings:
        say("No known break was found.")
    if not any(finding.blocks for finding in findings):
        say("lmdm can stream here.")
