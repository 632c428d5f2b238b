// Makes the pages live and lets a keyboard do. Without it they are complete, and are reloaded by hand.
'use strict';
(() => {
  const root = document.currentScript.dataset.root;
  const main = () => document.getElementById('main');
  const status = document.getElementById('live');
  // What is not live any more is marked where one looks, not at the foot of the page alone.
  const offline = document.querySelector('.offline');
  const live = (yes) => { if (offline) offline.hidden = yes; };
  const say = (text) => { if (status && status.textContent !== text) status.textContent = text; };

  // A form that somebody writes in is not taken away from them.
  const dirty = () => [...main().querySelectorAll('input:not([type=hidden]), textarea')].some((e) => e.value !== e.defaultValue);

  const rows = () => [...main().querySelectorAll('.rows > li')];
  const link = (row) => row.querySelector('h2 a') || row.querySelector('summary') || row.querySelector('a');

  // What is unfolded stays so when the page changes around it: each by its own name, or by where it stands.
  const folds = (within) => {
    const seen = {};
    return [...within.querySelectorAll('details')].map((d) => {
      const part = d.closest('[aria-labelledby]');
      const key = d.dataset.fold || (part ? part.getAttribute('aria-labelledby') : '') + '/' + d.firstElementChild.textContent;
      seen[key] = (seen[key] || 0) + 1;
      return [key + '#' + seen[key], d];
    });
  };

  let busy = false;
  let again = false;
  async function refresh() {
    if (busy) { again = true; return; }
    if (dirty()) { say('This page has changed since: reload it when you are done writing.'); return; }
    busy = true;
    try {
      const answer = await fetch(location.href, { credentials: 'same-origin', headers: { 'X-Portent-Refresh': '1' } });
      if (!answer.ok) { say('Not live: reload the page.'); return; }
      const next = new DOMParser().parseFromString(await answer.text(), 'text/html').getElementById('main');
      if (!next || dirty()) return;
      const old = main();
      const open = new Set(folds(old).filter(([, d]) => d.open).map(([key]) => key));
      const at = rows().findIndex((r) => r.contains(document.activeElement));
      const focused = document.activeElement && document.activeElement.id;
      old.replaceChildren(...next.childNodes);
      for (const [key, d] of folds(old)) if (open.has(key)) d.open = true;
      if (focused && focused !== 'main' && document.getElementById(focused)) document.getElementById(focused).focus({ preventScroll: true });
      else if (at >= 0 && rows()[at]) link(rows()[at]).focus({ preventScroll: true });
      say('Live, changed at ' + new Date().toTimeString().slice(0, 8));
    } catch {
      say('Not live: the receiver does not answer.');
    } finally {
      busy = false;
      if (again) { again = false; later(); }
    }
  }
  let timer = 0;
  const later = () => { clearTimeout(timer); timer = setTimeout(refresh, 400); };

  const what = main().dataset.live;
  if (what && window.EventSource) {
    // From when the page was made, so that nothing is missed in between.
    const events = new EventSource(root + 'api/v1/events?since=' + encodeURIComponent(main().dataset.made));
    let lost = false;
    events.onopen = () => { live(true); say('Live'); if (lost) later(); lost = false; };
    // The browser tries again by itself, unless the answer was a refusal: then only a reload helps.
    events.onerror = () => {
      lost = true;
      live(false);
      say(events.readyState === EventSource.CLOSED ? 'Not live: reload the page.' : 'Not live: trying again.');
    };
    events.addEventListener('many', later);
    events.addEventListener('incident', (e) => { if (what === 'all' || JSON.parse(e.data).id === what) later(); });
  }

  function move(step) {
    const list = rows();
    if (!list.length) return;
    const at = list.findIndex((r) => r.contains(document.activeElement));
    const to = list[Math.min(list.length - 1, Math.max(0, at < 0 ? (step > 0 ? 0 : list.length - 1) : at + step))];
    link(to).focus();
    to.scrollIntoView({ block: 'nearest' });
  }
  function decide(key) {
    const e = main().querySelector('[data-key="' + key + '"]');
    if (!e) return false;
    if (e.tagName === 'DETAILS') e.open = true;
    const field = e.querySelector('input:not([type=hidden]), textarea');
    if (field) field.focus();
    return true;
  }
  document.addEventListener('keydown', (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return;
    if (e.target.matches('input, textarea, select')) { if (e.key === 'Escape') e.target.blur(); return; }
    if (e.key === 'j') move(1);
    else if (e.key === 'k') move(-1);
    else if (e.key === 'i') location.href = root;
    else if (e.key === '?') { const k = document.querySelector('.keys'); k.open = !k.open; k.firstElementChild.focus(); }
    else if (!/^[a-z]$/.test(e.key) || !decide(e.key)) return;
    e.preventDefault();
  });
})();
