"""The style sheet of the page: one column, light or dark, narrow or wide."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #1c1e21; --soft: #5a6069; --grid: #d9dce1; --band: #f4f5f7;
  --link: #0b5cad;
  --series-0: #0b6bb8; --series-1: #d1660a; --series-2: #2a8a57;
  --series-3: #9d4fa8; --series-4: #b08900; --series-5: #6b7280;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15171a; --ink: #e8eaed; --soft: #a3a9b3; --grid: #3a3f47;
    --band: #1f2227; --link: #7db8f2;
    --series-0: #4a9fe3; --series-1: #ef8b3a; --series-2: #4fb57f;
    --series-3: #c583cf; --series-4: #d4ae2e; --series-5: #9aa2ae;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1rem; max-width: 84rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif;
}
h1 { font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p { max-width: 46rem; }
a { color: var(--link); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: 0; padding: 0;
  list-style: none; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr);
  gap: .15rem 1rem; margin: .5rem 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
code, pre { font: .85rem/1.45 ui-monospace, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--band);
  padding: .6rem .8rem; border-radius: .3rem; margin: .4rem 0; }
.wide { overflow-x: auto; margin: .5rem 0 1rem; }
table { border-collapse: collapse; font-size: .9rem; }
caption, .caption { text-align: left; color: var(--soft); padding-bottom: .3rem; }
.caption { font-size: .9rem; margin: 1rem 0 0; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--grid);
  white-space: nowrap; font-variant-numeric: tabular-nums; }
tbody th { font-weight: 400; }
tbody tr.published { color: var(--soft); }
.number { text-align: right; }
figure { margin: 1rem 0; }
figcaption { color: var(--soft); font-size: .9rem; max-width: 60rem; }
.charts { display: grid; gap: 1rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(21rem, 100%), 1fr)); }
.charts svg { display: block; width: 100%; max-width: 30rem; height: auto; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .5rem 0;
  padding: 0; list-style: none; font-size: .9rem; }
.legend span { display: inline-block; width: .8rem; height: .8rem;
  margin-right: .4rem; }
.legend .published span { opacity: .45; }
img { max-width: 100%; height: auto; background: #fff; }
/* Its text would be too small to read in less room: it scrolls. */
.wide img { min-width: 44rem; }
audio { display: block; width: 100%; max-width: 20rem; height: 2.2rem; }
.first { border-left: .3rem solid var(--series-1); padding: .1rem 0 .1rem .8rem; }
.claim { font-size: 1.1rem; }
.examples { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); }
.example { border: 1px solid var(--grid); border-radius: .3rem; padding: .6rem .8rem; }
.example h4 { margin: 0 0 .3rem; font-size: .8rem; font-weight: 400;
  color: var(--soft); overflow-wrap: anywhere; }
.example dl { grid-template-columns: minmax(5rem, max-content) minmax(0, 1fr); }
.example dt { font-size: .85rem; overflow-wrap: anywhere; max-width: 9rem; }
.none { color: var(--soft); font-style: italic; }
@media (max-width: 40rem) {
  dl, .example dl { display: block; }
  dt, .example dt { margin-top: .4rem; max-width: none; }
}
"""
