"""How a report's page looks: its style sheet, light and dark and on paper; and text made safe."""

from __future__ import annotations

import re
from html import escape
from typing import Any

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""The page loads nothing and runs nothing, whatever a model has written."""
LONGEST = 4_000
"""Characters of one text on the page; the JSON report has all."""
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""What a reader would not see, or what would turn the line around for him."""


def said(text: Any, most: int = LONGEST) -> str:
    """Somebody's text as HTML, for content and attributes; what nobody would see is spelled out."""
    whole = str(text)
    more = f" … ({len(whole) - most:,} more characters)" if len(whole) > most else ""
    return escape(UNSEEN.sub(lambda sign: f"\\u{ord(sign[0]):04x}", whole[:most]) + more)


CSS = """
:root{--ink:#16191d;--soft:#5d6673;--line:#e1e5ea;--paper:#fff;--card:#f6f8fa;--good:#1f8a57;
--bad:#c8352b;--mixed:#b7791f;--point:#2f62dd;--tint:#2f62dd22;color-scheme:light dark}
@media(prefers-color-scheme:dark){:root{--ink:#e7eaee;--soft:#98a2ae;--line:#2c333b;
--paper:#101317;--card:#191e24;--good:#3fbf83;--bad:#ff7566;--mixed:#e5b454;--point:#7ea6ff;
--tint:#7ea6ff33}}
*{box-sizing:border-box}
html{scroll-padding-top:16px}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:36px 24px 60px}
h1{font-size:30px;line-height:1.2;margin:0;overflow-wrap:anywhere}
h1 small{font-weight:400;color:var(--soft)}
h2{font-size:15px;margin:0 0 10px}h3{font-size:13px;margin:14px 0 4px;color:var(--soft)}
a{color:inherit}section{margin:0 0 28px}
header{margin:0 0 22px}header p{color:var(--soft);margin:4px 0 0;overflow-wrap:anywhere}
.banner{border-left:4px solid var(--bad);background:var(--card);border-radius:6px;
padding:10px 16px;margin:0 0 20px}.banner.good{border-color:var(--good)}
.banner.mixed{border-color:var(--mixed)}.banner ul{margin:2px 0 0;padding-left:18px}
.figures{display:grid;gap:12px;grid-template-columns:repeat(auto-fit,minmax(130px,1fr))}
.figures div,figure,.compared,.map{background:var(--card);border-radius:12px;padding:16px 18px}
.figures .main{grid-column:span 2}.figures b{display:block;font-size:25px;line-height:1.15;
letter-spacing:-.01em;font-variant-numeric:tabular-nums}.figures .main b{font-size:40px}
.figures span{color:var(--soft);font-size:13px}.figures svg{margin:8px 0 4px}
.plots{columns:2 430px;column-gap:14px}figure{margin:0 0 14px;break-inside:avoid}
.compared figure{padding:8px 0 0;margin:0}
figcaption{color:var(--soft);font-size:13px;margin-top:8px}
svg{width:100%;height:auto;display:block}
svg text{fill:var(--ink);font-size:12.5px;font-variant-numeric:tabular-nums}
svg .mark{fill:var(--soft);font-size:11px}svg .strong{font-weight:600}
.grid{stroke:var(--line)}.zero{stroke:var(--soft);stroke-dasharray:3 3}.rail{fill:var(--line)}
.band{fill:var(--tint)}rect.band{fill:var(--point);opacity:.35}.column{fill:var(--point)}
.interval{stroke:var(--point);stroke-width:2;opacity:.6}.point{fill:var(--point)}
.curve{fill:none;stroke:var(--point);stroke-width:2}.median{stroke:var(--ink);stroke-width:1.5}
.hollow{fill:var(--card);stroke:var(--soft);stroke-width:2}.change{stroke-width:3}
line.better{stroke:var(--good)}line.worse{stroke:var(--bad)}circle.better{fill:var(--good)}
circle.worse{fill:var(--bad)}svg text.better{fill:var(--good)}svg text.worse{fill:var(--bad)}
.part{fill:var(--line)}.part.better{fill:var(--good)}.part.worse{fill:var(--bad)}
.compared{border-left:5px solid var(--soft)}.compared.worse{border-color:var(--bad)}
.compared.better{border-color:var(--good)}.compared>h2{font-size:22px;margin:0}
.compared .plots{margin-top:8px;column-gap:36px}.compared p{margin:4px 0}
.map{display:grid;grid-template-columns:max-content 1fr max-content;gap:10px 16px;
align-items:start}.map i{font-style:normal}.map em{font-style:normal;color:var(--soft);
font-variant-numeric:tabular-nums}.map div{display:flex;flex-wrap:wrap;gap:3px;padding-top:3px}
.map a{width:16px;height:16px;border-radius:3px;background:var(--good);opacity:.55;
text-decoration:none;color:var(--paper);font:700 12px/16px sans-serif;text-align:center}
.map a.failed{background:var(--bad);opacity:1}.map a.failed::before{content:"×"}
.map a.mixed{background:var(--mixed);opacity:1}.map a.mixed::before{content:"~"}
.map a:hover,.map a:focus{outline:2px solid var(--ink);opacity:1}
.filter{display:flex;flex-wrap:wrap;gap:6px;margin:0 0 12px}
.filter input{position:absolute;opacity:0}.filter label{border:1px solid var(--line);
border-radius:99px;padding:2px 12px;font-size:13px;cursor:pointer}
.filter input:checked+label{background:var(--ink);color:var(--paper);border-color:var(--ink)}
.filter input:focus-visible+label{outline:2px solid var(--point)}
main:has(#only-failed:checked) .case.passed,main:has(#only-happy:checked) .case:not(.happy),
main:has(#only-edge:checked) .case:not(.edge),
main:has(#only-adversarial:checked) .case:not(.adversarial){display:none}
.case{border-bottom:1px solid var(--line)}.case>summary{display:grid;cursor:pointer;
grid-template-columns:20px minmax(0,1fr) 90px 60px 64px;gap:0 12px;padding:7px 4px;
list-style:none;font-variant-numeric:tabular-nums}.case>summary::-webkit-details-marker{
display:none}.case>summary:hover{background:var(--card)}.case>summary em{font-style:normal;
color:var(--soft);font-size:13px}.case>summary em:nth-of-type(n+2){text-align:right}
.case>summary small{grid-column:2/-1;color:var(--soft);font-size:13px;overflow-wrap:anywhere}
.case>summary b{font-weight:600;overflow-wrap:anywhere}.case.passed>summary b{font-weight:400}
.case i{font-style:normal;font-weight:700}.case.failed i.mark,i.no{color:var(--bad)}
.case.mixed i.mark{color:var(--mixed)}.case.passed i.mark,i.ok{color:var(--good)}
.case[open]{background:var(--card);border-radius:10px;margin:6px 0;border-bottom:0}
.body{padding:4px 16px 16px 36px}.note{color:var(--soft);margin:0 0 8px}
.raised{color:var(--bad);overflow-wrap:anywhere}
.verdicts{list-style:none;padding:0;margin:8px 0;font-size:14px}
.verdicts li{overflow-wrap:anywhere;padding:1px 0}.verdicts li span{color:var(--soft)}
.talk{margin:6px 0 0;padding:0;list-style:none}.talk li{display:grid;gap:0 12px;
grid-template-columns:110px minmax(0,1fr);padding:7px 0;border-top:1px solid var(--line)}
.talk li>em{font-style:normal;color:var(--soft);font-size:13px;overflow-wrap:anywhere}
.talk .user pre{font-weight:600}li summary{cursor:pointer}
pre,code,li summary{font:13px/1.5 ui-monospace,monospace;margin:0;white-space:pre-wrap;
overflow-wrap:anywhere}code{display:block;color:var(--point)}
.talk .user pre,.talk .agent pre{font-family:inherit;font-size:14px}
table{border-collapse:collapse;width:100%;font-size:14px}th{text-align:left;color:var(--soft);
font-weight:500}td,th{padding:5px 12px 5px 0;border-bottom:1px solid var(--line);
vertical-align:top;overflow-wrap:anywhere}
footer{color:var(--soft);font-size:13px;overflow-wrap:anywhere;margin-top:40px}
@media(max-width:640px){.figures .main{grid-column:1/-1}.talk li{grid-template-columns:1fr}
.case>summary{grid-template-columns:20px minmax(0,1fr) 60px}.case>summary em:nth-of-type(odd){
display:none}.body{padding-left:16px}}
@media print{.filter{display:none}main{max-width:none;padding:0}.case,figure{break-inside:avoid}
.case:not(.passed)::details-content{content-visibility:visible;height:auto}}
"""
