package testkit

// Audit, run in a browser, looks at the page as a person with a screen reader, a keyboard or weak
// eyes meets it, and lists what stands in the way: WCAG 2.1 on names, labels,
// headings, unique ids, language, contrast (4.5:1) and reflow.
const Audit = `(() => {
  const wrong = [];
  const rgb = s => (s.match(/[\d.]+/g) || []).map(Number);
  const light = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4) }); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
  const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c.slice(0, 3) } return [255, 255, 255] };
  if (!document.documentElement.lang) wrong.push('no language');
  if (!document.title) wrong.push('no title');
  if (document.querySelectorAll('h1').length !== 1) wrong.push('not one h1');
  if (document.querySelectorAll('main').length !== 1) wrong.push('not one main');
  let level = 0;
  for (const h of document.querySelectorAll('h1,h2,h3,h4')) { const n = +h.tagName[1]; if (n > level + 1) wrong.push('heading skips to ' + h.textContent); level = n }
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  if (new Set(ids).size !== ids.length) wrong.push('an id stands twice');
  for (const e of document.querySelectorAll('[aria-describedby],[aria-labelledby]')) for (const id of ((e.getAttribute('aria-describedby') || '') + ' ' + (e.getAttribute('aria-labelledby') || '')).trim().split(/\s+/)) if (!document.getElementById(id)) wrong.push('no element ' + id);
  for (const e of document.querySelectorAll('input:not([type=hidden])')) if (!e.labels.length) wrong.push('input without a label');
  for (const e of document.querySelectorAll('a,button')) if (!e.textContent.trim() && !e.getAttribute('aria-label')) wrong.push('a link without words');
  for (const e of document.querySelectorAll('img')) if (!e.hasAttribute('alt')) wrong.push('an image without alt');
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n; n = walk.nextNode();) {
    const e = n.parentElement;
    if (!n.textContent.trim() || !e.getClientRects().length) continue;
    const a = light(rgb(getComputedStyle(e).color).slice(0, 3)), b = light(ground(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) wrong.push('contrast ' + ratio.toFixed(2) + ': ' + n.textContent.trim().slice(0, 40));
  }
  if (document.documentElement.scrollWidth > innerWidth) wrong.push('wider than the window: ' + document.documentElement.scrollWidth);
  for (const e of document.querySelectorAll('button,.button,input:not([type=hidden])')) { const r = (e.closest('label') || e).getBoundingClientRect(); if (r.height > 1 && r.height < 24) wrong.push('too small to touch') }
  return wrong;
})()`
