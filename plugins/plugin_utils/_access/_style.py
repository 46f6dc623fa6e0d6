# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: how the report looks. Everything is in the page itself; the page's own policy forbids all else."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  --paper: #f6f7f9; --card: #ffffff; --ink: #1b222b; --soft: #56616e; --line: #d9dee5; --head: #eef1f5; --focus: #1f5fbf;
  --on: #ffffff; --read: #35618f; --create: #1c7550; --update: #8f5600; --delete: #ae2a24;
  --good: #1c7550; --warn: #8f5600; --bad: #ae2a24; --bad-wash: #fdecea; --warn-wash: #fdf3e0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12161b; --card: #1a2027; --ink: #e6eaef; --soft: #9ca8b5; --line: #303944; --head: #212932; --focus: #8ab8f5;
    --on: #10151b; --read: #8dbae6; --create: #74cfa3; --update: #edb658; --delete: #f58f86;
    --good: #74cfa3; --warn: #edb658; --bad: #f58f86; --bad-wash: #3a1f1f; --warn-wash: #342a17;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; padding: 2.5rem 1.25rem 3rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
}
main { max-width: 76rem; margin: 0 auto; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 1.75rem; line-height: 1.2; letter-spacing: -.015em; overflow-wrap: anywhere; }
h2 { margin: 2.75rem 0 .35rem; font-size: 1.2rem; line-height: 1.3; letter-spacing: -.01em; }
h3 { margin: 1.5rem 0 .35rem; font-size: 1rem; }
p { margin: .35rem 0 1rem; max-width: 46rem; }
.soft, footer { color: var(--soft); }
code {
  font: .9em/1.4 var(--mono);
  overflow-wrap: anywhere; unicode-bidi: isolate; white-space: pre-wrap;
}
a { color: inherit; text-underline-offset: .15em; }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; border-radius: 4px; }
.vh { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

ul { margin: 0; padding: 0; list-style: none; }

.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: .75rem; margin-top: 1.5rem; }
.tiles a {
  display: block; height: 100%; padding: .75rem 1rem; border: 1px solid var(--line); border-left: 4px solid var(--tone, var(--line));
  border-radius: 8px; background: var(--card); text-decoration: none;
}
.tiles a:hover { border-color: var(--tone, var(--soft)); }
.tiles span { display: block; color: var(--soft); font-size: .875rem; }
.tiles strong { display: block; font-size: 1.05rem; line-height: 1.35; }
.good { --tone: var(--good); } .warn { --tone: var(--warn); } .bad { --tone: var(--bad); }

.scroll {
  position: relative; max-height: 88vh; overflow: auto; border: 1px solid var(--line); border-radius: 8px; background: var(--card);
}
table { width: 100%; border-collapse: separate; border-spacing: 0; }
caption { text-align: left; }
th, td { padding: .6rem .9rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; font-weight: inherit; }
tbody tr:last-child > * { border-bottom: 0; }
thead th { position: sticky; top: 0; z-index: 1; background: var(--head); font-size: .9rem; vertical-align: bottom; }
th small, td small { display: block; color: var(--soft); font-size: .8125rem; line-height: 1.4; overflow-wrap: anywhere; }
tbody th { font-weight: 600; overflow-wrap: anywhere; }
tbody th small { font-weight: 400; }

.matrix th:first-child {
  position: sticky; left: 0; z-index: 2; min-width: 12rem; max-width: 18rem; border-right: 1px solid var(--line); background: var(--head);
}
.matrix thead th:first-child { z-index: 3; }
.matrix td { min-width: 10.5rem; padding: 0; }
.matrix td:has(details[open]) { min-width: 19rem; }
.where { display: none; }
summary { cursor: pointer; list-style: none; }
summary::-webkit-details-marker { display: none; }
.matrix summary { display: flex; align-items: center; gap: .2rem; padding: .75rem .9rem; }
.matrix summary:hover, .matrix details[open] { background: var(--head); }
.matrix summary:focus-visible { outline-offset: -3px; }
.matrix summary::after {
  content: ""; width: .4rem; height: .4rem; margin: 0 .1rem 0 auto; border: solid var(--soft); border-width: 0 1.5px 1.5px 0;
  transform: translateY(-.12rem) rotate(45deg); opacity: .7;
}
.matrix details[open] summary::after { transform: translateY(.12rem) rotate(225deg); }
.mark {
  display: inline-block; min-width: 1.6rem; padding: 0 .2rem; border: 1.5px solid var(--tone); border-radius: 5px; background: var(--tone);
  color: var(--on); font: 700 .8125rem/1.4rem var(--mono); text-align: center;
  -webkit-print-color-adjust: exact; print-color-adjust: exact;
}
.mark.read { --tone: var(--read); } .mark.create { --tone: var(--create); }
.mark.update { --tone: var(--update); } .mark.delete { --tone: var(--delete); }
.mark.no { border-color: transparent; background: none; color: var(--soft); font-weight: 400; }
.mark.perhaps { border-style: dashed; background: none; color: var(--tone); }
.mark.otherwise { outline: 2px solid var(--bad); outline-offset: 1px; }
.seal { margin: 0 .3rem; font-size: .9rem; }
.why { padding: .1rem .9rem .8rem; font-size: .875rem; line-height: 1.45; }
.why li { padding: .3rem 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
.why small { display: block;  color: var(--tone, var(--soft)); font-size: .8125rem; }
.legend { display: flex; flex-wrap: wrap; gap: .45rem 1.25rem; margin: .75rem 0; color: var(--soft); font-size: .875rem; line-height: 1.6; }

.list { margin-top: .75rem; border: 1px solid var(--line); border-radius: 8px; background: var(--card); overflow: hidden; }
.list > li { padding: .75rem 1rem; border: solid var(--line); border-width: 0 0 1px; border-left: 4px solid var(--tone, transparent); }
.list > li:last-child { border-bottom: 0; }
.list p { margin: .2rem 0 0; }
.badge {
  display: inline-block; margin-right: .4rem; color: var(--tone, var(--soft)); font-size: .75rem; font-weight: 700; letter-spacing: .05em;
  text-transform: uppercase;
}
.tone { color: var(--tone); font-weight: 600; }
tr.bad > * { background: var(--bad-wash); }
details.more > summary {
  display: inline-block; margin: .5rem 0 .75rem; padding: .25rem 0; color: var(--soft); text-decoration: underline;
}
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: .875rem; }

@media screen and (max-width: 44rem) {
  body { padding: 1.5rem 1rem 2rem; }
  h1 { font-size: 1.45rem; }
  .tiles { grid-template-columns: 1fr 1fr; gap: .5rem; }
  .tiles a { padding: .6rem .75rem; }
  .scroll { max-height: none; overflow: visible; border: 0; background: none; }
  .stack, .stack tbody, .stack tr, .stack th, .stack td { display: block; }
  .stack thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .stack tr { margin: .75rem 0; border: 1px solid var(--line); border-radius: 8px; background: var(--card); overflow: hidden; }
  .stack tbody th, .matrix tbody th:first-child { position: static; max-width: none; border-right: 0; background: var(--head); }
  .stack tbody tr:last-child > * { border-bottom: 1px solid var(--line); }
  .stack tbody tr > :last-child, .stack tbody tr:last-child > :last-child { border-bottom: 0; }
  .stack td[data-name] { display: flex; gap: .75rem; padding: .5rem .9rem; }
  .stack td[data-name]::before { content: attr(data-name); flex: 0 0 6rem; color: var(--soft); font-size: .875rem; line-height: 1.7; }
  .matrix td, .matrix td:has(details[open]) { min-width: 0; }
  .matrix summary { min-height: 2.75rem; padding: .5rem .9rem; }
  .matrix summary::after { margin-left: .4rem; }
  .where { display: block; flex: 1; min-width: 0; font-size: .875rem; }
}
@media print {
  @page { margin: 14mm; }
  :root {
    color-scheme: light;
    --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --head: #f2f2f2; --on: #fff;
    --read: #35618f; --create: #1c7550; --update: #8f5600; --delete: #ae2a24; --good: #1c7550; --warn: #8f5600; --bad: #ae2a24;
  }
  html { font-size: 13px; }
  body { padding: 0; }
  h2, h3 { break-after: avoid; margin-top: 1.5rem; }
  .scroll { max-height: none; overflow: visible; }
  .screen, details.more, .why, .matrix summary::after { display: none; }
  .tiles { grid-template-columns: repeat(4, 1fr); }
  th, td, thead th { padding: .45rem .6rem; position: static; overflow-wrap: break-word; }
  .matrix th:first-child { position: static; min-width: 6.5rem; }
  tbody th, th small, td small { overflow-wrap: break-word; }
  .matrix td, .matrix td:has(details[open]) { min-width: 0; }
  .matrix summary { padding: .45rem .6rem; gap: .1rem; }
  .matrix details[open] { background: none; }
  .mark { min-width: 1.3rem; padding: 0; }
  tr, .list > li, .tiles li { break-inside: avoid; }
  .wide, .wide tbody, .wide tr, .wide th, .wide td { display: block; }
  .wide thead { display: none; }
  .wide tbody th:first-child { max-width: none; border-right: 0; }
  .wide .where { display: block; flex: 0 0 60%; }
}
"""

# Ages are told by the browser, so that a page does not grow old on disk.
SCRIPT = """
for (const time of document.querySelectorAll("time[datetime]")) {
  const days = Math.floor((Date.now() - Date.parse(time.dateTime)) / 864e5);
  if (Number.isNaN(days)) continue;
  const count = Math.abs(days), words = count + (count === 1 ? " day" : " days");
  const note = document.createElement("small");
  note.textContent = days < 0 ? "in " + words : days === 0 ? "today" : words + " ago";
  if (time.dataset.end !== undefined && days >= 0) {
    note.textContent = "expired " + note.textContent;
    note.className = "bad tone";
  }
  time.after(note);
}
"""
