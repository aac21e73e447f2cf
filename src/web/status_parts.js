/* The parts of the status page: each takes what /status.json says and puts it into its place in the document. Texts from outside are only ever text nodes. */
'use strict';
const Parts = (() => {
  const $ = id => document.getElementById(id);
  const known = x => typeof x === 'number' && Number.isFinite(x);
  const figures = new Map(['0', '1', '2', '3', '4'].map(d => [Number(d), new Intl.NumberFormat('en', {minimumFractionDigits: Number(d), maximumFractionDigits: Number(d)})]));

  /* ---- words ---- */

  const fixed = (x, digits) => known(x) ? figures.get(digits).format(x) : '-';
  const count = x => fixed(x, 0);
  const rate = x => fixed(x, known(x) && x < 9.95 && x > 0 ? 1 : 0);
  const percent = x => !known(x) ? '-' : x > 0 && x < 0.0005 ? 'under 0.1 %' : `${fixed(100 * x, Math.abs(x) < 0.0995 && x !== 0 ? 1 : 0)} %`;

  function span(seconds) {
    if (!known(seconds)) return '-';
    if (seconds < 9.95) return `${fixed(Math.max(0, seconds), 1)} s`;
    const s = Math.round(seconds);
    if (s < 120) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
  }
  const millis = ms => !known(ms) ? '-' : ms < 1000 ? `${fixed(ms, ms < 9.95 ? 1 : 0)} ms` : span(ms / 1000);
  const clock = ms => known(ms) ? new Date(ms).toISOString().slice(11, 19) : '-';

  function size(bytes) {
    if (!known(bytes)) return '-';
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
    let unit = 0;
    for (; bytes >= 1024 && unit < 4; unit++) bytes /= 1024;
    return `${fixed(bytes, unit && 1)} ${units[unit]}`;
  }

  /* Control characters, and what shows nothing and steers the text around it (bidirectional overrides, byte order marks, line separators), by number: as
   * base/printable.h has it, but for the joiner of emoji. */
  function shown(text) {
    return String(text ?? '-').replace(/[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
      c => `[U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}]`);
  }

  /* ---- the document ---- */

  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties))
      name in element ? element[name] = value : element.setAttribute(name, value);
    element.append(...children);
    return element;
  }
  const foreign = (text, tag = 'bdi') => make(tag, {dir: 'auto'}, shown(text));
  const itemLink = id => make('a', {className: 'item', href: '#item=' + encodeURIComponent(id), dir: 'auto'}, shown(id));
  const moment = ms => known(ms) ? make('time', {dateTime: new Date(ms).toISOString(), title: Charts.timeText(ms)}, clock(ms)) : '-';

  const same = new WeakMap(); /* place -> what it shows */

  /* Calls draw(place) only when what it would show is something else: so focus, selection and scrolling stay where they are. */
  function when(place, what, draw) {
    const text = JSON.stringify(what) ?? '';
    if (same.get(place) === text) return;
    same.set(place, text);
    draw(place);
  }

  /* rows: [{key, cells: [text or node or {text, node, class}]}]. A row whose key was there before stays the same element. */
  function rowsInto(body, rows) {
    const before = new Map([...body.rows].map(row => [row.dataset.key, row]));
    const now = rows.map(({key, cells}) => {
      const row = before.get(String(key)) || make('tr');
      row.dataset.key = key;
      when(row, cells.map(cell => cell.node ? [cell.id, cell.class] : cell), () => row.replaceChildren(...cells.map((cell, i) =>
        make(i === 0 ? 'th' : 'td', {...(i === 0 && {scope: 'row'}), className: cell.class || ''}, cell.node ?? cell.text ?? cell))));
      return row;
    });
    const kept = new Set(now);
    [...body.rows].filter(row => !kept.has(row)).forEach(row => row.remove());
    now.forEach((row, i) => { if (body.rows[i] !== row) body.insertBefore(row, body.rows[i] || null); }); /* a row that moves loses the focus */
  }

  /* facts: [[name, value, more]] */
  const factsInto = (list, facts) => when(list, facts, () => list.replaceChildren(...facts.flatMap(([name, value]) => [make('dt', {}, name), make('dd', {}, value)])));

  const empty = (section, is) => section.querySelector('[data-empty]').hidden = !is;

  /* ---- key figures ---- */

  function behindOf(status) {
    const all = (status.inputs || []).map(input => input.lag_s).filter(known);
    return all.length ? Math.max(...all) : null;
  }

  function cards(status) {
    const {rates = {}, totals = {}, quality = {}, epoch = {}, memory = {}} = status, latency = status.listing_latency_ms || {};
    const behind = behindOf(status), lag = (status.inputs || []).reduce((sum, input) => sum + (input.lag || 0), 0);
    const tone = (x, warn, bad) => x >= bad ? 'bad' : x >= warn ? 'warn' : '';
    const all = [
      ['Behind', span(behind), known(behind) ? `${count(lag)} records` : '', tone(behind, 10, 60)],
      ['SID after', millis(latency.count ? latency.p50 : null), latency.count ? `p99 ${millis(latency.p99)}, ${count(latency.count)} in a minute` : 'no listing in a minute', latency.count ? tone(latency.p99, 1000, 10000) : ''],
      ['Events a second', rate(rates.events_per_s), known(totals.events) ? `${count(totals.events)} in all` : ''],
      ['AUC, cold items', fixed(quality.auc_cold, 4), known(quality.auc) ? `all items ${fixed(quality.auc, 4)}` : ''],
      ['Dead letters', count(totals.dead_letters), known(totals.events) && totals.events ? `${percent(totals.dead_letters / totals.events)} of all` : ''],
      ['Items', count(totals.items), known(totals.onboarded) ? `${count(totals.onboarded)} with a SID` : ''],
      ['Epoch', count(epoch.number), known(epoch.number) ? `${rate(epoch.epochs_per_s)} a second, ${count(epoch.aborted)} aborted` : ''],
      ['Memory', size(memory.rss_bytes), `up ${span((status.now_ms - status.started_ms) / 1000)}`]];
    const list = $('cards');
    while (list.children.length < all.length) list.append(make('li', {className: 'card'}));
    all.forEach((card, i) => when(list.children[i], card, place => {
      place.className = `card ${card[3] || ''}`;
      place.replaceChildren(...['name', 'value', 'more'].map((name, n) => make('span', {className: name}, card[n])));
    }));
  }

  /* ---- data flow ---- */

  const PHASES = [['collect', 'waits for input and takes it in'], ['apply', 'scores and learns'], ['publish', 'hands rows to the producer'], ['commit', 'commits the transaction']];

  function phases(epoch) {
    const ms = PHASES.map(([name]) => (epoch.phases_ms || {})[name]);
    const all = ms.reduce((sum, x) => sum + (known(x) ? x : 0), 0);
    const bar = $('phases');
    if (bar.children.length === 0) bar.append(...PHASES.map((_, i) => make('span', {className: `phase-${i}`})));
    ms.forEach((x, i) => { bar.children[i].style.flexGrow = known(x) && all > 0 ? x / all : 0; });
    rowsInto($('phase-rows'), PHASES.map(([name, does], i) => ({key: name, cells: [
      {node: make('span', {}, make('span', {className: `swatch phase-${i}`, ariaHidden: 'true'}), name, make('span', {className: 'soft'}, ` ${does}`)), id: name}, fixed(ms[i], 1)]})));
  }

  function flow(status) {
    const epoch = status.epoch || {};
    rowsInto($('inputs').tBodies[0], (status.inputs || []).map(input => ({key: `${input.topic}/${input.partition}`, cells: [
      shown(input.topic), count(input.partition), {text: span(input.lag_s), class: input.lag_s >= 60 ? 'bad' : input.lag_s >= 10 ? 'warn' : ''}, count(input.lag), rate(input.records_per_s)]})));
    rowsInto($('outputs').tBodies[0], (status.outputs || []).map(output => ({key: output.topic, cells: [shown(output.topic), count(output.records), rate(output.records_per_s)]})));
    const sentence = known(epoch.number) ? `Epoch ${count(epoch.number)}${epoch.kind ? ` (${epoch.kind})` : ''}, committed ${known(epoch.committed_ms) ? span((status.now_ms - epoch.committed_ms) / 1000) + ' ago' : 'at no known time'}.` : 'No epoch yet.';
    when($('epoch'), sentence, place => { place.textContent = sentence; });
    phases(epoch);
  }

  const MOMENTS_MAX = 450; /* a quarter of an hour at two seconds each */
  const moments = [];
  let behindChart = null;

  /* Growing or falling, which one picture cannot say: from the first and last fifth of the last two minutes. */
  function trend() {
    const recent = moments.slice(-60).filter(m => known(m.behind));
    if (recent.length < 15) return '';
    const part = Math.floor(recent.length / 5), mean = list => list.reduce((sum, m) => sum + m.behind, 0) / list.length;
    const change = mean(recent.slice(-part)) - mean(recent.slice(0, part));
    return Math.abs(change) < 1 ? 'Steady over the last two minutes.' : change > 0 ? `Growing: ${span(change)} more than two minutes ago.` : `Falling: ${span(-change)} less than two minutes ago.`;
  }

  function behind(status) {
    const figure = $('behind');
    moments.push({t: status.now_ms, behind: behindOf(status), events: (status.rates || {}).events_per_s});
    if (moments.length > MOMENTS_MAX) moments.shift();
    when($('behind-note'), trend(), place => { place.textContent = trend(); });
    rowsInto(figure.querySelector('tbody'), moments.slice(-30).reverse().map(m => ({key: m.t, cells: [moment(m.t), span(m.behind), rate(m.events)].map((cell, i) => i ? cell : {node: cell, id: m.t})})));
    const series = [{name: 'behind', points: moments.map(m => ({x: m.t, y: m.behind})), colour: 1}];
    if (behindChart) Charts.update(behindChart, series);
    else behindChart = Charts.lines(figure.querySelector('canvas'), series, {min: 0, digits: 2});
  }

  /* ---- ranking ---- */

  let aucChart = null;

  function auc(history) {
    const figure = $('auc'), points = name => history.map(h => ({x: h.t_ms, y: known(h[name]) ? h[name] : null}));
    empty(figure, history.length === 0);
    figure.querySelector('.plot').hidden = figure.querySelector('details').hidden = history.length === 0;
    if (history.length === 0) return;
    when(figure, [history.length, history[0].t_ms, history[history.length - 1]], () => {
      const series = [{name: 'cold', points: points('auc_cold'), colour: 1}, {name: 'warm', points: points('auc_warm'), colour: 2}, {name: 'all', points: points('auc'), colour: 3, dash: true}];
      if (aucChart) Charts.update(aucChart, series);
      else aucChart = Charts.lines(figure.querySelector('canvas'), series, {digits: 3});
      rowsInto(figure.querySelector('tbody'), [...history].reverse().map(h => ({key: h.t_ms, cells: [
        {node: moment(h.t_ms), id: h.t_ms}, count(h.events), fixed(h.auc, 4), fixed(h.auc_cold, 4), fixed(h.auc_warm, 4), fixed(h.ne, 4)]})));
    });
  }

  function quality(status) {
    const q = status.quality || {};
    auc(q.history || []);
    rowsInto($('buckets').querySelector('tbody'), (q.buckets || []).map(b => ({key: b.exposures, cells: [shown(b.exposures), count(b.events), fixed(b.auc, 4), fixed(b.gate, 3)]})));
    factsInto($('quality'), [['AUC', fixed(q.auc, 4)], ['within users (GAUC)', fixed(q.gauc, 4)], ['normalised entropy (NE)', `${fixed(q.ne, 4)}, below 1 is better than the average`],
      ['calibration', `${fixed(q.calibration, 3)} predicted for each click`]]);
  }

  /* ---- listings, dead letters ---- */

  function listings(status) {
    const list = status.listings || [];
    empty($('listings').closest('section'), list.length === 0);
    $('listings').hidden = list.length === 0;
    rowsInto($('listings').tBodies[0], list.map(l => ({key: `${l.epoch}/${l.item}`, cells: [
      {node: moment(l.arrived_ms), id: l.arrived_ms}, {text: millis(l.latency_ms), class: `nowrap ${l.latency_ms > 10000 ? 'bad' : l.latency_ms > 1000 ? 'warn' : ''}`},
      {node: make('span', {}, itemLink(l.item)), id: l.item, class: 'text id cut'}, {node: foreign(l.title), id: l.title, class: 'text cut'},
      {node: make('span', {className: 'sid'}, shown(l.sid)), id: l.sid, class: 'text'}]})));
  }

  function deadLetters(status) {
    const dead = status.dead_letters || {}, reasons = Object.entries(dead.by_reason || {}).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
    const sentence = reasons.length ? 'In all, by reason: ' + reasons.map(([reason, n]) => `${shown(reason)} ${count(n)}`).join(', ') + '.' : 'None.';
    when($('dead-reasons'), sentence, place => { place.textContent = sentence; });
    const list = [...(dead.latest || [])].sort((a, b) => b.time_ms - a.time_ms);
    $('dead').hidden = list.length === 0;
    rowsInto($('dead').tBodies[0], list.map(d => ({key: `${d.topic}/${d.partition}/${d.offset}`, cells: [{node: moment(d.time_ms), id: d.time_ms}, {text: shown(d.reason), class: 'text nowrap'},
      {text: `${shown(d.topic)} partition ${count(d.partition)} offset ${count(d.offset)}`, class: 'text'}, {node: foreign(d.text), id: d.text, class: 'text cut'}]})));
  }

  /* ---- codebooks ---- */

  function mapOf(level) {
    const canvas = make('canvas', {}), under = make('p', {className: 'under note', ariaHidden: 'true'});
    canvas.setAttribute('role', 'img');
    const map = make('figure', {className: 'map'}, make('figcaption'), canvas, under,
      make('details', {}, make('summary', {}, `Fullest codes of ${level.name}`), make('table', {}, make('thead', {}, make('tr', {}, make('th', {scope: 'col'}, 'code'), make('th', {scope: 'col'}, 'items'))), make('tbody'))));
    canvas.addEventListener('mousemove', event => {
      const {columns, cell, occupancy} = map.drawn, box = canvas.getBoundingClientRect(), scale = canvas.width / box.width;
      const code = Math.floor((event.clientY - box.top) * scale / cell) * columns + Math.floor((event.clientX - box.left) * scale / cell);
      under.textContent = code in occupancy ? `code ${code}: ${count(occupancy[code])} items` : '';
    });
    canvas.addEventListener('mouseleave', () => { under.textContent = ''; });
    return map;
  }

  function paintMap(map, occupancy) {
    const canvas = map.querySelector('canvas'), style = getComputedStyle(document.documentElement), width = Math.max(200, Math.round(canvas.clientWidth || 320));
    const columns = Math.max(8, Math.min(Math.floor(width / 3), Math.ceil(Math.sqrt(occupancy.length * 3)))), cell = Math.max(2, Math.floor(width / columns)), gap = cell > 6 ? 1 : 0;
    const most = Math.max(1, ...occupancy), brush = canvas.getContext('2d');
    canvas.width = columns * cell;
    canvas.height = Math.ceil(occupancy.length / columns) * cell;
    map.drawn = {columns, cell, occupancy};
    occupancy.forEach((items, code) => {
      const x = code % columns * cell, y = Math.floor(code / columns) * cell;
      brush.globalAlpha = items ? 0.2 + 0.8 * Math.sqrt(items / most) : 1;
      brush.fillStyle = brush.strokeStyle = style.getPropertyValue(items ? '--series-1' : '--soft').trim();
      if (items) brush.fillRect(x, y, cell - gap, cell - gap);
      else if (cell > 4) brush.strokeRect(x + 0.5, y + 0.5, cell - gap - 1, cell - gap - 1);
    });
  }

  const maps = new Map(); /* level name -> figure */

  function map(level) {
    if (!maps.has(level.name)) {
      maps.set(level.name, mapOf(level));
      $('maps').append(maps.get(level.name));
    }
    const figure = maps.get(level.name), occupancy = level.occupancy || [], most = Math.max(0, ...occupancy);
    when(figure, level, () => {
      const words = `${count(level.used)} of ${count(level.codes)} codes used, as if ${fixed(level.perplexity, 1)} were used evenly (perplexity); ${percent(level.collisions)} collisions`;
      figure.querySelector('figcaption').replaceChildren(make('strong', {}, shown(level.name)), ` ${words}`);
      figure.querySelector('canvas').setAttribute('aria-label', `Items per code of ${level.name}: ${words}; the fullest code has ${count(most)} items`);
      const fullest = occupancy.map((items, code) => [code, items]).sort((a, b) => b[1] - a[1]).slice(0, 10);
      rowsInto(figure.querySelector('tbody'), fullest.map(([code, items]) => ({key: code, cells: [count(code), count(items)]})));
      paintMap(figure, occupancy);
    });
  }

  function codebooks(status) {
    const c = status.codebooks || {};
    factsInto($('codebooks'), [
      ['generation', known(c.generation) ? `${count(c.generation)}${c.previous_generation ? `, and ${count(c.previous_generation)} beside it` : ''}; ${count(c.releases)} released since the start` : '-'],
      ['version of the books', known(c.version) ? `${count(c.version)}; ${count(c.resets)} codes reset` : '-'],
      ['SIDs that changed', `${percent(c.churn_per_day)} a day`], ['items with a SID of their own', percent(c.unique_share)],
      ['quantisation error', fixed(c.quantisation_error, 4)], ['cosine of item and code vectors', fixed(c.item_code_cosine, 3)]]);
    (c.levels || []).forEach(map);
  }

  const repaint = () => maps.forEach(figure => figure.drawn && paintMap(figure, figure.drawn.occupancy));

  function memory(status) {
    const tables = [...((status.memory || {}).tables || [])].sort((a, b) => b.bytes - a.bytes), rss = (status.memory || {}).rss_bytes;
    const sentence = `${size(rss)} resident; the tables have ${size(tables.reduce((sum, t) => sum + t.bytes, 0))} of it.`;
    when($('rss'), sentence, place => { place.textContent = sentence; });
    rowsInto($('tables').tBodies[0], tables.map(t => ({key: t.table, cells: [shown(t.table), count(t.rows), count(t.rows_max), percent(t.rows_max ? t.rows / t.rows_max : null), size(t.bytes)]})));
  }

  function everything(status) {
    [cards, flow, behind, quality, listings, deadLetters, codebooks, memory].forEach(part => part(status));
  }

  return {everything, repaint, make, foreign, shown, itemLink, count, fixed, span, clock, when};
})();
