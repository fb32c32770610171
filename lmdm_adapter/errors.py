"""The one exception that users are meant to read."""


class LmdmError(ValueError):
    """A request that cannot be met: one sentence with the offending value and the cure.

    The command line prints the sentence and exits with a non-zero status; it never shows a traceback for it.
    """
