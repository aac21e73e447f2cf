/* Charts of coldstream's pages, on Chart.js: lines over time and bars, in the page's own colours, also after the reader's setting changes and on
 * paper. A chart repeats what a table beside it says, so nothing depends on it. */
'use strict';
const Charts = (() => {
  const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
  const STEPS = [1, 2, 5, 10, 15, 30].map(n => n * SECOND).concat([1, 2, 5, 10, 15, 30].map(n => n * MINUTE),
    [1, 2, 3, 6, 12].map(n => n * HOUR), [1, 2, 4, 7, 14].map(n => n * DAY));
  const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
  const drawn = new Set();

  const two = n => String(n).padStart(2, '0');
  const clock = (d, seconds) => `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}` + (seconds ? ':' + two(d.getUTCSeconds()) : '');
  const day = d => `${d.getUTCDate()} ${MONTHS[d.getUTCMonth()]}`;

  /* In UTC, as everywhere in coldstream. */
  function timeText(ms) {
    const d = new Date(ms);
    return `${day(d)} ${d.getUTCFullYear()} ${clock(d, true)} UTC`;
  }

  /* Round moments between two times, at most `most` of them: [{value, label}]. */
  function timeTicks(from, to, most) {
    const ticks = [], step = STEPS.find(s => (to - from) / s <= most);
    if (step) {
      for (let t = Math.ceil(from / step) * step; t <= to; t += step) {
        const d = new Date(t);
        ticks.push({value: t, label: step >= DAY || t % DAY === 0 ? day(d) : clock(d, step < MINUTE)});
      }
      return ticks;
    }
    const months = [1, 2, 3, 4, 6, 12, 24, 60, 120].find(n => (to - from) / (31 * DAY) / n <= most) || 240, first = new Date(from);
    for (let m = Math.ceil((first.getUTCMonth() + 1) / months) * months; ; m += months) {
      const d = new Date(Date.UTC(first.getUTCFullYear(), m, 1));
      if (d > to) return ticks;
      ticks.push({value: +d, label: `${MONTHS[d.getUTCMonth()]} ${d.getUTCFullYear()}`});
    }
  }

  const colour = name => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();

  function paintSet(set, i) {
    set.borderColor = set.backgroundColor = colour('series-' + (set.colour || i % 6 + 1));
    if (set.faint) set.backgroundColor += '80';
  }

  function paint(chart) {
    const ink = colour('soft'), line = colour('line');
    for (const scale of Object.values(chart.options.scales)) {
      scale.ticks.color = ink;
      scale.grid.color = scale.grid.borderColor = line;
    }
    chart.options.plugins.legend.labels.color = colour('ink');
    chart.data.datasets.forEach(paintSet);
    chart.update();
  }

  function draw(canvas, config) {
    Object.assign(config.options, {animation: false, responsive: true, maintainAspectRatio: false});
    config.data.datasets.forEach(paintSet);
    const chart = new Chart(canvas, config);
    drawn.add(chart);
    paint(chart);
    return chart;
  }

  const legend = (series, boxHeight) => ({display: series.length > 1, labels: {boxWidth: 22, boxHeight}});

  function lineSets(series) {
    return series.map(s => ({label: s.name, data: s.points, colour: s.colour, borderDash: s.dash ? [6, 4] : [], borderWidth: 2,
      pointRadius: s.points.length > 2 ? 0 : 3, pointHitRadius: 6, spanGaps: true, tension: 0, stepped: s.steps || false}));
  }

  /* series: [{name, points: [{x, y}], colour: 1..6, dash, steps}], x in ms, y null where there is none: the line goes on to the next one.
   * options: {min, max, digits} of the y axis. Returns the chart, for update(). */
  function lines(canvas, series, options = {}) {
    const digits = options.digits ?? 3;
    const text = y => y === null ? '-' : y.toLocaleString('en', {maximumFractionDigits: digits});
    return draw(canvas, {type: 'line', data: {datasets: lineSets(series)}, options: {
      parsing: false, normalized: true, interaction: {mode: 'nearest', axis: 'x', intersect: false},
      scales: {
        x: {type: 'linear', grid: {}, bounds: 'data', ticks: {maxRotation: 0, callback: (value, i, all) => all[i].label},
          afterBuildTicks: axis => { axis.ticks = timeTicks(axis.min, axis.max, Math.max(2, Math.floor(axis.chart.width / 75))); }},
        y: {min: options.min, max: options.max, grid: {}, ticks: {maxTicksLimit: 6, precision: digits === 0 ? 0 : undefined, callback: y => y.toLocaleString('en', {maximumFractionDigits: digits})}}},
      plugins: {legend: legend(series, 1), tooltip: {callbacks: {
        title: items => items.length ? timeText(items[0].parsed.x) : '', label: item => `${item.dataset.label}: ${text(item.parsed.y)}`}}}}});
  }

  function update(chart, series) {
    chart.data.datasets = lineSets(series);
    paint(chart);
  }

  /* labels: one per bar; series: [{name, values, colour, faint}]. options.base: where bars begin, 0 if not given. */
  function bars(canvas, labels, series, options = {}) {
    const base = options.base || 0, least = Math.min(...series.flatMap(s => s.values).filter(v => v !== null));
    return draw(canvas, {type: 'bar',
      data: {labels, datasets: series.map(s => ({label: s.name, data: s.values, colour: s.colour, faint: s.faint, base, maxBarThickness: 48}))},
      options: {
        scales: {x: {grid: {display: false}, ticks: {}},
          y: {min: least >= base ? base : undefined, max: options.max, grid: {}, ticks: {maxTicksLimit: 6}}},
        plugins: {legend: legend(series, 10), tooltip: {}}}});
  }

  /* ---- charts of tables ---- */

  /* "12 %" and "1,234" are numbers, "-" is none. */
  function numberOf(text) {
    const digits = text.replace(/[,\s%]/g, '').replace('\u2212', '-');
    return digits === '' || digits === '-' ? null : Number(digits);
  }

  /* A figure.chart with data-chart="lines" or "bars" draws the table in it, or the one that data-table names: a series for each column but the
   * first, which has the times (<time datetime>) or the labels. data-key of the figure picks the columns with that data-key. Columns and rows
   * with data-plot="none" are left out; a column's data-name, data-colour, data-dash and data-faint say how it is drawn; the
   * figure's data-min, data-max, data-digits, data-base, data-steps are the options above. */
  function ofTable(figure) {
    const table = figure.dataset.table ? document.getElementById(figure.dataset.table) : figure.querySelector('table');
    const canvas = figure.querySelector('canvas'), rows = [...table.tBodies[0].rows].filter(row => row.dataset.plot !== 'none');
    const heads = [...table.tHead.rows[0].cells];
    const columns = heads.map((head, i) => ({head, i})).filter(({head, i}) =>
      i > 0 && head.dataset.plot !== 'none' && head.dataset.key === figure.dataset.key);
    const options = {min: numberOf(figure.dataset.min || '') ?? undefined, max: numberOf(figure.dataset.max || '') ?? undefined,
      base: numberOf(figure.dataset.base || '') ?? undefined, digits: numberOf(figure.dataset.digits || '') ?? undefined};
    const style = head => ({name: head.dataset.name || head.textContent, colour: Number(head.dataset.colour) || undefined, dash: 'dash' in head.dataset,
      faint: 'faint' in head.dataset, steps: 'steps' in figure.dataset});
    const value = (row, i) => numberOf(row.cells[i].textContent);
    if (figure.dataset.chart === 'bars')
      return bars(canvas, rows.map(row => row.cells[0].textContent),
        columns.map(({head, i}) => ({...style(head), values: rows.map(row => value(row, i))})), options);
    const times = rows.map(row => Date.parse(row.querySelector('time').dateTime));
    return lines(canvas, columns.map(({head, i}) => ({...style(head), points: rows.map((row, r) => ({x: times[r], y: value(row, i)}))})), options);
  }

  const repaint = () => drawn.forEach(paint);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint);
  addEventListener('beforeprint', () => { document.documentElement.dataset.theme = 'light'; repaint(); });
  addEventListener('afterprint', () => { delete document.documentElement.dataset.theme; repaint(); });

  return {lines, bars, update, ofTable, timeText};
})();
