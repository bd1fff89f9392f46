"""The frame of the quality page: one file, no script, nothing from elsewhere; light and dark; fit for a phone."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --bg: #f6f7f9; --card: #fff; --ink: #1d2733; --soft: #566270; --rule: #dfe3e8;
  --chart: #4677b0; --tail: #a9c1de; --wash: #dbe6f3; --good: #2f8f5b; --mid: #a87308; --bad: #c0392f; --code: #eef0f3;
  --track: #e6eaee; }
@media (prefers-color-scheme: dark) { :root { --bg: #11151a; --card: #1a2027; --ink: #e3e8ee; --soft: #9ba8b5;
  --rule: #2e3741; --chart: #79a8dc; --tail: #43617f; --wash: #27384b; --good: #56b983; --mid: #dcae45; --bad: #ec7066;
  --code: #262e37; --track: #2b343e; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--bg); margin: 0; }
main { max-width: 1120px; margin: 0 auto; padding: 24px 16px; }
h1 { font-size: 25px; margin: 0 0 4px; }
h2 { font-size: 19px; margin: 0 0 6px; }
h3 { font-size: 14px; margin: 20px 0 6px; }
section, .cards div { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
section { padding: 16px 20px; margin: 16px 0; }
a { color: inherit; }
p { margin: 6px 0; }
ul { margin: 2px 0; padding-left: 20px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 6px 14px 6px 0; vertical-align: top; }
th { font-weight: 600; color: var(--soft); border-bottom: 1px solid var(--rule); white-space: nowrap; }
tr + tr td { border-top: 1px solid var(--rule); }
code { background: var(--code); border-radius: 3px; padding: 0 4px; overflow-wrap: anywhere; }
.n { font-variant-numeric: tabular-nums; white-space: nowrap; text-align: right; }
.soft { color: var(--soft); }
.small { font-size: 13px; }
.bad { color: var(--bad); }
.mid { color: var(--mid); }
.scroll { overflow-x: auto; }
.bar { display: flex; height: 10px; min-width: 90px; border-radius: 5px; overflow: hidden; background: var(--track);
  margin: 7px 0 3px; }
.bar i { display: block; min-width: 2px; }
.bar .loaded, .bar .full { background: var(--good); }
.bar .merged { background: var(--mid); }
.bar .quarantined { background: var(--bad); }
.cards { display: flex; flex-wrap: wrap; gap: 12px; margin: 16px 0; }
.cards div { flex: 1 1 130px; padding: 10px 14px; }
.cards b { display: block; font-size: 21px; font-variant-numeric: tabular-nums; }
.state { border-left: 6px solid var(--good); }
.state.warn { border-left-color: var(--mid); }
.state.plain { border-left-color: var(--tail); }
.state.refused { border-left-color: var(--bad); }
.tag { border-radius: 9px; padding: 0 8px; font-size: 12px; white-space: nowrap; border: 1px solid currentColor; }
.tag.large { color: var(--bad); }
.tag.moderate { color: var(--mid); }
td:first-child code { overflow-wrap: normal; }
.place { white-space: nowrap; }
.columns td[data-label="range"] { min-width: 215px; }
.columns td[data-label="filled"] { min-width: 110px; width: 14%; }
.columns td[data-label="distribution"] { width: 34%; }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif; }
svg.hist rect { fill: var(--chart); }
svg.hist rect.tail { fill: var(--tail); }
svg.line { width: 100%; height: 90px; display: block; }
svg.line polygon { fill: var(--chart); opacity: .18; }
svg.line polyline { fill: none; stroke: var(--chart); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
svg.flow { width: 100%; max-width: 640px; min-width: 430px; display: block; margin-top: 8px; }
svg.flow .loaded { fill: var(--good); }
svg.flow .merged { fill: var(--mid); }
svg.flow .quarantined { fill: var(--bad); }
svg.flow .source, svg.flow .created { fill: var(--chart); }
svg.flow .band { opacity: .35; }
.axis { display: flex; justify-content: space-between; color: var(--soft); font-size: 12px; }
.many { display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 12px 20px; }
.many svg.line { height: 48px; }
.top { font-size: 13px; line-height: 1.45; }
.top div { display: flex; justify-content: space-between; gap: 10px; padding: 0 5px; margin-bottom: 2px;
  border-radius: 3px; background: linear-gradient(var(--wash), var(--wash)) no-repeat; }
.top div span:first-child { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
@media (max-width: 720px) {
  section { padding: 12px; }
  .columns thead { display: none; }
  .columns, .columns tbody, .columns tr, .columns td { display: block; width: auto; }
  .columns tr { padding: 8px 0; }
  .columns tr + tr { border-top: 1px solid var(--rule); }
  .columns tr + tr td { border: 0; }
  .columns td, .columns td.n { padding: 2px 0; text-align: left; }
  .columns td:empty { display: none; }
  .columns td[data-label][data-label] { width: auto; min-width: 0; }
  .columns td[data-label]::before { content: attr(data-label) " "; color: var(--soft); font-size: 12px; }
}
"""


def frame(title: str, body: str) -> str:
    """The whole page around its body; both are HTML already."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main>\n{body}\n</main></body></html>\n"
    )
