// The page's style sheet: light, dark, phone and paper. Colours are the Okabe-Ito set, which the colour-blind can tell apart;
// the teacher is drawn in ink. System fonts only: the page asks nobody for anything.
const LIGHT = `--page:#f6f5f1;--card:#fff;--ink:#1c1d1f;--soft:#5d6068;--line:#dcdad3;--cell:#f1f0ec;--on-cell:#fff;
--teacher:#1c1d1f;--before:#98948a;--c1:#0b6bb0;--c2:#d55e00;--c3:#00876a;--c4:#b0508a;--c5:#9a7400;--c6:#3f8fc4;
--right:#0b6bb0;--wrong:#d55e00;color-scheme:light`;
const DARK = `--page:#15171a;--card:#1e2125;--ink:#eceae4;--soft:#a3a7af;--line:#3a3e45;--cell:#262a2f;--on-cell:#0d0f11;
--teacher:#f4f2ec;--before:#8b8880;--c1:#58b4f0;--c2:#ff9a4d;--c3:#3fcba5;--c4:#e594c3;--c5:#e0be4e;--c6:#9ccdf0;
--right:#58b4f0;--wrong:#ff9a4d;color-scheme:dark`;

export const STYLE = `
:root{${LIGHT}}
@media (prefers-color-scheme:dark){:root{${DARK}}}
@media print{:root{${LIGHT};--page:#fff}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;-webkit-text-size-adjust:100%}
main,header,footer{max-width:1160px;margin:0 auto;padding:0 clamp(14px,3vw,32px)}
header{padding-top:clamp(28px,6vw,64px)}
.eyebrow{margin:0;color:var(--soft);font-size:.9rem}
h1{margin:.1em 0 .5em;font-size:clamp(1.5rem,3.6vw,2.3rem);line-height:1.2;letter-spacing:-.015em;overflow-wrap:anywhere}
.headline{margin:0 0 1.2em;max-width:46em;font-size:clamp(1.05rem,1.7vw,1.3rem);line-height:1.5}
nav{display:flex;flex-wrap:wrap;gap:.2em 1.2em;margin:1.2em 0 0;font-size:.92rem}
a{color:var(--c1)}
section{margin:clamp(36px,6vw,64px) 0 0}
h2{margin:0 0 .3em;font-size:1.45rem;letter-spacing:-.01em}
h3{margin:0 0 .4em;font-size:1rem}
.part>.card{margin:16px 0 0}
h3.tap{margin:1.6em 0 .3em;font-size:1.15rem;overflow-wrap:anywhere}
section>p,.part>p,.lead p{max-width:50em;margin:.3em 0 1em}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px;margin:0}
.tiles>div{padding:12px 16px;background:var(--card);border:1px solid var(--line);border-radius:10px}
.tiles dt{color:var(--soft);font-size:.85rem}
.tiles dd{margin:0;font-size:1.6rem;font-weight:650;line-height:1.3;font-variant-numeric:tabular-nums}
.tiles dd.remark{font-size:.82rem;font-weight:400;color:var(--soft)}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr));gap:16px;margin:16px 0 0}
.grid.two{grid-template-columns:repeat(auto-fill,minmax(min(100%,440px),1fr))}
.card{margin:0;padding:16px 18px;background:var(--card);border:1px solid var(--line);border-radius:10px;min-width:0}
.wide{grid-column:1/-1}
.plot,.scroll{overflow-x:auto}
svg.chart{display:block;width:auto;max-width:100%;height:auto;margin:0 auto;--plot-background:var(--card);font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;color:var(--ink);overflow:visible}
svg.chart text,svg.chart tspan{white-space:pre}
figcaption,.caption{margin:.8em 0 0;color:var(--soft);font-size:.86rem;line-height:1.5}
.legend{display:flex;flex-wrap:wrap;gap:.15em 1.1em;margin:0 0 .6em;padding:0;list-style:none;font-size:.86rem;color:var(--soft)}
.legend svg{margin-right:.4em;vertical-align:-1px}
.legend b{color:var(--ink);font-variant-numeric:tabular-nums;white-space:nowrap}
table{border-collapse:collapse;font-size:.92rem}
.figures{width:100%}
.figures th,.figures td{padding:.5em .8em;text-align:right;border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums;white-space:nowrap}
.figures thead th{color:var(--soft);font-weight:500;white-space:normal;vertical-align:bottom}
.figures th:first-child{text-align:left;padding-left:0}
.figures tbody th{font-weight:600}
.figures tbody tr:last-child>*{border-bottom:0}
.words tbody th{white-space:normal}
.words td:last-child{min-width:7.5em;text-align:left;white-space:normal}
.key{display:inline-block;width:.7em;height:.7em;margin-right:.55em;border-radius:50%}
.facts th{padding:.28em 1.6em .28em 0;text-align:left;font-weight:500;color:var(--soft);vertical-align:top;white-space:nowrap}
.facts td{padding:.28em 0;overflow-wrap:anywhere}
code{font:.92em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
pre{margin:0;padding:12px 14px;background:var(--card);border:1px solid var(--line);border-radius:8px;white-space:pre-wrap}
.mistakes{margin:0;padding-left:2.1em;font-size:.92rem}
.mistakes li{margin:.35em 0}
footer{margin-top:56px;padding-bottom:40px;color:var(--soft);font-size:.86rem}
@media (max-width:760px){svg.chart{width:100%}}
@media (max-width:520px){.card{padding:14px 12px}.card.wide .plot svg.chart{width:620px;max-width:none}.facts th{white-space:normal;padding-right:1em}}
@media print{body{font-size:11pt}nav{display:none}.card,.tiles>div,tr{break-inside:avoid}h2,h3{break-after:avoid}.grid{grid-template-columns:1fr 1fr}a{color:inherit}}
`.trim();
