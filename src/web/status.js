/* The status page: asks the stage how it is every two seconds while somebody looks, says so when it cannot be reached, and looks up items. */
'use strict';
(() => {
  const ASK_MS = 2000, PATIENCE_MS = 5000;
  const {make, foreign, shown, itemLink, count, fixed, span, clock, when} = Parts;
  const $ = id => document.getElementById(id);
  const SIGNS = {good: '\u2713', warn: '!', bad: '\u2715', wait: '\u2026'};
  const opened = Date.now();
  let answered = null; /* when, by this machine's clock */
  let lost = false, timer = null, asking = false;

  async function ask(path) {
    const patience = new AbortController(), alarm = setTimeout(() => patience.abort(), PATIENCE_MS);
    try {
      const answer = await fetch(path, {cache: 'no-store', signal: patience.signal});
      return {ok: answer.ok, code: answer.status, body: await answer.json()};
    } finally {
      clearTimeout(alarm);
    }
  }

  /* ---- the headline ---- */

  const remedyOf = problem => shown(problem.remedy) + (problem.see ? ` (docs/RUNBOOK.md, ${shown(problem.see)})` : '');

  function problemItem(problem) {
    return make('li', {className: problem.level}, make('span', {className: 'mark', ariaHidden: 'true'}, SIGNS[problem.level] + ' '),
      make('span', {className: 'what'}, shown(problem.where ? `${problem.where}: ${problem.text}` : problem.text)),
      ...(problem.remedy ? [make('span', {className: 'remedy'}, remedyOf(problem))] : []));
  }

  /* The sentence is the first problem. A screen reader hears the sentence when the judgement changes, not when a tenth of a second does. */
  function headline(level, text, problems, occasion) {
    when($('headline'), [level, text, problems], place => {
      place.className = `level-${level}`;
      $('sign').textContent = SIGNS[level];
      $('sentence').textContent = shown(text);
      $('remedy').textContent = problems.length ? remedyOf(problems[0]) : '';
      $('problems').replaceChildren(...problems.slice(1).map(problemItem));
      document.title = `${SIGNS[level]} ${shown(text)} - coldstream`;
    });
    when($('spoken'), occasion, place => { place.textContent = shown(text); });
  }

  function show(status) {
    const verdict = status.verdict || {level: 'warn', text: `It says of itself: ${status.reason || status.state}`, problems: []};
    const problems = verdict.problems || [];
    headline(verdict.level, verdict.text, problems, [status.state, verdict.level, problems.map(p => [p.level, p.where])]);
    const who = `coldstream ${shown(status.version)} \u00b7 ${shown(status.application)} \u00b7 ${shown(status.state)} \u00b7 ${clock(status.now_ms)} UTC` + (status.synthetic ? ' \u00b7 synthetic data' : '');
    when($('who'), who, place => { place.textContent = who; });
    Parts.everything(status);
  }

  function unreachable() {
    const since = answered ?? opened, text = `The stage cannot be reached since ${clock(since)} UTC (${span((Date.now() - since) / 1000)})`;
    document.body.classList.add('stale');
    headline('bad', text, [{level: 'bad', remedy: `${answered ? `What is below is from ${clock(answered)} UTC. ` : ''}Is the process running, and http.listen what this page was opened with? It is asked again every two seconds.`}], 'unreachable');
  }

  /* ---- asking ---- */

  async function turn() {
    if (asking) return;
    asking = true;
    clearTimeout(timer);
    const answer = await ask('status.json').catch(() => null); /* not reached, too late, or no JSON */
    asking = false;
    lost = !answer?.ok;
    if (!document.hidden) timer = setTimeout(turn, ASK_MS);
    if (lost) return unreachable();
    answered = Date.now();
    document.body.classList.remove('stale');
    show(answer.body);
  }

  /* ---- an item ---- */

  const FACTS = [['sid', 'SID'], ['listed', 'listed'], ['shown', 'shown'], ['clicks', 'clicks'], ['first_shown', 'first shown'], ['gate', 'gate'], ['generation', 'generation'],
    ['codebook_version', 'version of the books'], ['quantisation_error', 'quantisation error']];

  const value = x => typeof x === 'number' ? Number.isInteger(x) ? count(x) : fixed(x, 4) : shown(x);

  function neighbours(title, list) {
    const head = ['SID', 'item', 'title', 'shown', 'clicks'].map((name, i) => make('th', {scope: 'col', className: i < 3 ? 'text' : ''}, name));
    const rows = list.map(n => make('tr', {}, make('th', {scope: 'row'}, make('span', {className: 'sid'}, shown(n.sid))), make('td', {className: 'text id cut'}, make('span', {}, itemLink(n.item))),
      make('td', {className: 'text cut'}, foreign(n.title)), make('td', {}, count(n.shown)), make('td', {}, count(n.clicks))));
    const table = make('table', {}, make('caption', {}, title), make('thead', {}, make('tr', {}, ...head)), make('tbody', {}, ...rows));
    return make('div', {className: 'scroll', tabIndex: 0, role: 'region', ariaLabel: title}, table);
  }

  function itemFound(item) {
    const facts = FACTS.filter(([name]) => item[name] !== undefined && item[name] !== null).flatMap(([name, words]) => [make('dt', {}, words), make('dd', {}, value(item[name]))]);
    return [make('h3', {tabIndex: -1}, foreign(item.title || item.item)), make('p', {}, make('code', {}, shown(item.item))), make('dl', {className: 'facts'}, ...facts),
      ...(item.nearest_by_sid ? [neighbours('Nearest by semantic ID', item.nearest_by_sid)] : []),
      ...(item.nearest_by_embedding ? [neighbours('Nearest by embedding', item.nearest_by_embedding)] : [])];
  }

  function itemMissing(id, answer) {
    const why = answer === null ? 'The stage did not answer.' : answer.code === 503 ? 'The stage is busy; look again in a moment.' : shown((answer.body || {}).error || `The stage answered ${answer.code}.`);
    return [make('h3', {tabIndex: -1}, 'Nothing about ', make('code', {}, shown(id))), make('p', {}, why)];
  }

  async function look(id) {
    const answer = await ask('item.json?id=' + encodeURIComponent(id)).catch(() => null);
    $('item').className = 'result';
    $('item').replaceChildren(...(answer?.ok ? itemFound(answer.body) : itemMissing(id, answer)));
    $('item').querySelector('h3').focus();
  }

  /* #item=ID, so that a look-up can be sent to a colleague */
  function fromAddress() {
    const found = /^#item=(.+)$/.exec(location.hash);
    if (!found) return;
    let id;
    try { id = decodeURIComponent(found[1]); } catch { return; }
    $('item-id').value = id;
    look(id);
  }

  $('lookup').addEventListener('submit', event => {
    event.preventDefault();
    const address = '#item=' + encodeURIComponent($('item-id').value);
    if (location.hash === address) fromAddress();
    else location.hash = address;
  });
  addEventListener('hashchange', fromAddress);
  document.addEventListener('visibilitychange', () => document.hidden ? clearTimeout(timer) : turn());
  setInterval(() => { if (lost && !document.hidden) unreachable(); }, 1000);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', Parts.repaint);
  let resized = null;
  addEventListener('resize', () => { clearTimeout(resized); resized = setTimeout(Parts.repaint, 200); });
  turn();
  fromAddress();
})();
