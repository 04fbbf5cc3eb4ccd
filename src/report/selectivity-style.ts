// What the selectivity page needs beside the style of every page.
export const SELECTIVITY_STYLE = `
.stack{display:grid;gap:16px;margin:16px 0 0}
.neuron h4{margin:1em 0 .2em;font-size:.9rem;font-weight:600}
.neuron h3+h4{margin-top:.2em}
.facts-line{margin:.1em 0 .7em;color:var(--soft);font-size:.86rem}
.near{display:flex;flex-wrap:wrap;gap:12px 20px;align-items:flex-start}
.pictures{display:grid;grid-template-columns:repeat(3,minmax(0,84px));gap:6px;flex:0 1 264px}
.pictures:has(code){display:block;flex:1 1 100%}
.sample{min-width:0;font-size:.74rem;color:var(--soft);line-height:1.25}
.sample code{font-size:.95em}
.sample span{display:block;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.sample.image>div{position:relative;border-radius:5px;overflow:hidden;background:var(--cell)}
.sample img{display:block;width:100%;image-rendering:pixelated}
.sample i{position:absolute;width:22%;height:22%;transform:translate(-50%,-50%);border:2px solid var(--c2);border-radius:50%;box-shadow:0 0 0 1px rgba(0,0,0,.45)}
.bars{flex:1 1 170px;border-collapse:collapse;font-size:.78rem;line-height:1.2}
.bars th{padding:.12em .7em .12em 0;font-weight:400;text-align:right;color:var(--soft);white-space:nowrap}
.bars td{padding:.12em 0}
.bars td:nth-child(2){width:99%}
.bars td:last-child{padding-left:.6em;text-align:right;font-variant-numeric:tabular-nums;color:var(--soft);white-space:nowrap}
.bars i{display:block;height:.85em;min-width:1px;border-radius:2px}
.far{display:inline-block;height:.7em;margin-right:.7em;border-radius:2px;background:var(--c1);opacity:.75}
.lists{margin:.6em 0 0;font-size:.86rem}
.lists dt{font-weight:600}
.lists dd{margin:0 0 .4em;color:var(--soft);overflow-wrap:anywhere}
`.trim();
