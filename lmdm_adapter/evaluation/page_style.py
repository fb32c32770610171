"""How the report page looks: light or dark as the reader's system is, and no wider than a telephone."""

STYLE = """
:root { color-scheme: light dark; --back: #fdfdfb; --ink: #1c1c1a; --soft: #6a6a66; --line: #dcdcd6; }
@media (prefers-color-scheme: dark) {
  :root { --back: #161614; --ink: #ecece6; --soft: #a2a29a; --line: #3a3a36; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 62rem; overflow-wrap: anywhere;
  background: var(--back); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1, h2, h3 { line-height: 1.2; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.2rem; } h3 { font-size: 1rem; margin-bottom: .2rem; }
p.note, small { color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem .3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); }
td small { display: block; white-space: nowrap; }
figure { margin: 0; } figure svg { width: 100%; height: auto; display: block; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.2rem; }
.players { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); gap: .8rem; }
audio { width: 100%; display: block; }
""".strip()
