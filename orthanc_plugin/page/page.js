// The list of jobs: reads /habitus/status and /habitus/jobs every few seconds and redraws what changed.
'use strict';

const POLL_MS = 3000;
const TONES = {
  queued: 'quiet', running: 'busy', computed: 'busy', done: 'good', rejected: 'warn', dead: 'bad',
  cancelled: 'quiet', superseded: 'quiet',
};
const WORDS = {
  queued: 'Waiting', running: 'Running', computed: 'Delivering', done: 'Done',
  rejected: 'Not analysed', dead: 'Failed', cancelled: 'Cancelled', superseded: 'Superseded',
};
const UNITS = {
  cm2: 'cm²', ml: 'mL', "[hnsf'U]": 'HU', 'cm2/m2': 'cm²/m²', 'cm2/kg': 'cm²/kg', 'cm2.m2/kg': 'cm²·m²/kg',
  '%': '%', '1': '', 'kg/m2': 'kg/m²', a: 'years',
};

// What a job can be asked for in which state; operators only.
const WISHES = {
  requeue: ['done', 'rejected', 'dead', 'cancelled'],
  cancel: ['queued', 'running', 'dead'],
  resend: ['computed', 'done'],
  'body-size': ['computed', 'done', 'rejected', 'dead'],
  level: ['computed', 'done', 'rejected', 'dead'],
};

const SOFT_TISSUE = 'window-center=40&window-width=400&width=512';
const OUTCOME_MS = 300;
const OUTCOME_LOOKS = 50;

let me = null;
const reports = new Map();
const drawn = new Map();

async function read(path) {
  const response = await fetch(path, { headers: { Accept: 'application/json' } });
  if (!response.ok) throw refusal(path, response);
  return response.json();
}

function refusal(what, response) {
  const fault = JSON.parse(response.headers.get('X-Habitus-Fault') ?? '{}');
  const why = fault.found ? `found ${fault.found}; wanted ${fault.wanted}. ${fault.advice}` : `HTTP ${response.status}`;
  return new Error(`${what}: ${why}`);
}

function words(name) {
  return name ? String(name).replaceAll('_', ' ') : '';
}

function number(value) {
  if (typeof value !== 'number') return '–';
  const digits = Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function table(title, rows) {
  const element = document.createElement('table');
  element.createCaption().textContent = title;
  for (const [label, value, unit] of rows) {
    const row = element.insertRow();
    for (const [text, name] of [[label, 'label'], [number(value), 'value'], [UNITS[unit] ?? unit, 'unit']]) {
      const cell = row.insertCell();
      cell.className = name;
      cell.textContent = text;
    }
  }
  return element;
}

function onTrial(report, measured) {
  return report.experimental?.includes(measured.structure) ? ' (experimental)' : '';
}

function numbers(report) {
  const tables = [];
  const composition = report.body_composition ?? [];
  if (composition.length) {
    const level = report.level;
    const sure = level?.confidence == null ? 'set by hand' : `confidence ${number(level.confidence)}`;
    const where = level ? `, z ${number(level.z_mm)} mm, ${sure}` : '';
    tables.push(table(`Body composition at L3${where}`, composition.map(
      (m) => [`${words(m.structure)} ${words(m.quantity)}${onTrial(report, m)}`.trim(), m.value, m.unit])));
  }
  const cutOffs = report.cut_offs ?? [];
  if (cutOffs.length) {
    tables.push(table('Published cut-offs', cutOffs.map(
      (c) => [`${words(c.quantity)}: ${c.is_low ? 'below' : 'not below'} ${c.cut_off} (${c.table}: ${c.population})`, c.value, c.unit])));
  }
  const organs = report.organs ?? [];
  if (organs.length) {
    tables.push(table('Organ volumes', organs.map(
      (o) => [words(o.structure) + (o.is_incomplete ? ' (cut by the field of view)' : ''), o.volume_ml, 'ml'])));
  }
  return tables;
}

function reason(job) {
  if (job.state === 'running') return `${job.stage || 'starting'}, try ${job.attempts}`;
  if (job.state === 'superseded' && job.superseded_by) return `by the newer job ${job.superseded_by.slice(0, 8)}`;
  if (job.state === 'queued' && job.window && job.run_at * 1000 > Date.now()) return `waits for ${job.window}`;
  return [job.reason, job.detail].filter(Boolean).join(': ');
}

// Wrong by a vertebra must not look like right: said above the numbers, not only among the notes.
function doubt(report) {
  const why = (report?.level_reasons ?? []).join('; ');
  if (report?.level_outcome === 'uncertain') return `L3 uncertain: ${why}. Look at the slice; if it is another vertebra, set L3 by hand below.`;
  if (report?.level_outcome === 'not-in-field') return `No L3: ${why}`;
  return '';
}

function way(job) {
  const named = { 10: 'stat', '-10': 'off-peak' }[job.priority];
  const parts = [job.rule && `rule ${job.rule}`, named, job.mode === 'shadow' && 'shadow: kept here, not sent'];
  return parts.filter(Boolean).join(', ');
}

function list(element, texts) {
  element.replaceChildren(...texts.map((text) => {
    const item = document.createElement('li');
    item.textContent = text;
    return item;
  }));
}

function deliveryText(delivery) {
  const need = delivery.required ? '' : ' (best effort)';
  const told = delivery.reason || (delivery.verified_by ? `by ${delivery.verified_by}` : '');
  const why = told ? `: ${told}` : '';
  return `${delivery.role} to ${delivery.destination}${need}: ${delivery.state}${why}`;
}

function seriesName(row) {
  return row.series_number === null ? 'A series without number' : `Series ${row.series_number}`;
}

function seriesTexts(job) {
  const taken = job.choice ? [`${seriesName(job.choice)} was taken with ${job.choice.score} points: ${job.choice.detail}`] : [];
  return [...taken, ...job.not_taken.map(notTakenText)];
}

function notTakenText(row) {
  const why = row.detail ? `: ${row.detail}` : '';
  return `${seriesName(row)} (${row.images} images) was not taken, ${row.reason}${why}`;
}

function pictures(job) {
  return job.pictures.map((name) => {
    const link = document.createElement('a');
    link.href = `jobs/${job.key}/pictures/${name}.png`;
    const image = document.createElement('img');
    image.src = link.href;
    image.alt = `Picture of ${name.replaceAll('-', ' ')}`;
    image.loading = 'lazy';
    link.append(image);
    return link;
  });
}

async function reportOf(job) {
  if (!job.results.includes('report')) return null;
  if (!reports.has(job.key)) reports.set(job.key, await read(`report/${job.key}`));
  return reports.get(job.key);
}

async function ask(key, wish, fields) {
  const response = await fetch(`jobs/${key}/${wish}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Requested-With': 'habitus' },
    body: JSON.stringify(fields),
  });
  if (!response.ok) throw refusal(wish, response);
  const { command } = await response.json();
  tell(null);
  await refresh();
  return command;
}

// What the node made of a wish; null where it has not come to it.
async function outcomeOf(command) {
  for (let look = 0; look < OUTCOME_LOOKS; look += 1) {
    const known = await read(`commands/${command}`);
    if (known.outcome) return known;
    await new Promise((resolve) => { setTimeout(resolve, OUTCOME_MS); });
  }
  return null;
}

function slicesOfImage({ ID: id, MainDicomTags: tags }) {
  const frames = Number(tags.NumberOfFrames ?? 1);
  if (frames > 1) {
    return Array.from({ length: frames }, (_, frame) => (
      { path: `${id}/frames/${frame}`, number: frame + 1, z: null, name: { instance_number: frame + 1 } }));
  }
  const z = Number.parseFloat((tags.ImagePositionPatient ?? '').split('\\')[2]);
  const image = Number.parseInt(tags.InstanceNumber, 10);
  return [{ path: id, number: image, z: Number.isNaN(z) ? null : z, name: { sop_instance_uid: tags.SOPInstanceUID } }];
}

// From the feet to the head, where Orthanc knows the places; numbered as viewers do, where each number is there once.
async function slicesOf(job) {
  const images = await read(`../series/${encodeURIComponent(job.series_orthanc_id)}/instances`);
  const slices = images.flatMap(slicesOfImage);
  slices.sort(slices.every((slice) => slice.z !== null) ? (a, b) => a.z - b.z : (a, b) => b.number - a.number);
  const areNamed = new Set(slices.map((slice) => slice.number).filter(Number.isInteger)).size === slices.length;
  return areNamed ? slices : slices.map((slice, place) => ({ ...slice, number: place + 1 }));
}

function nearest(slices, z) {
  if (z == null || slices[0].z === null) return Math.floor(slices.length / 2);
  return slices.reduce((best, slice, place) => (Math.abs(slice.z - z) < Math.abs(slices[best].z - z) ? place : best), 0);
}

function levelChooser(box, job, report) {
  const form = box.querySelector('form');
  const part = (name) => box.querySelector(`.${name}`);
  const say = (text) => { part('told').textContent = text; };
  const steps = ['up', 'down', 'measure'].map(part);
  let slices = null;
  let place = 0;
  // A click before the slices are known would do nothing, and nobody would see why.
  for (const button of steps) button.disabled = true;

  function show(wanted) {
    place = Math.min(Math.max(wanted, 0), slices.length - 1);
    const { path, number: image, z } = slices[place];
    form.number.value = image;
    part('where').textContent = `Slice ${place + 1} of ${slices.length} from the feet${z === null ? '' : `, z ${number(z)} mm`}`;
    part('slice').alt = `Image ${image}`;
    part('slice').src = `../instances/${path}/rendered?${SOFT_TISSUE}`;
    say('');
  }

  async function wish(name, fields) {
    const command = await ask(job.key, name, fields);
    const known = await outcomeOf(command);
    if (known && known.outcome !== 'new-run') say(known.detail || words(known.outcome));
  }

  box.addEventListener('toggle', async () => {
    if (!box.open || slices) return;
    try {
      slices = await slicesOf(job);
      show(nearest(slices, report?.level?.z_mm));
      for (const button of steps) button.disabled = false;
    } catch (error) {
      say(error.message);
    }
  });
  form.number.addEventListener('input', () => {
    const wanted = slices?.findIndex((slice) => slice.number === form.number.valueAsNumber) ?? -1;
    if (wanted >= 0) show(wanted);
    else say('There is no slice of that number.');
  });
  part('up').addEventListener('click', () => slices && show(place + 1));
  part('down').addEventListener('click', () => slices && show(place - 1));
  part('network').hidden = !job.level_set;
  part('network').addEventListener('click', () => wish('level/remove', {}).catch(tell));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (slices && slices[place].number === form.number.valueAsNumber) wish('level', slices[place].name).catch(tell);
  });
  if (job.level_set) {
    const at = new Date(job.level_set.at * 1000).toLocaleString();
    box.querySelector('summary').textContent = `L3 was set by hand by ${job.level_set.by}, ${at}`;
  }
}

function sizeFields(form) {
  const entered = Object.entries({ height_m: form.height_m.value, weight_kg: form.weight_kg.value });
  return Object.fromEntries(entered.filter(([, text]) => text !== '').map(([name, text]) => [name, Number(text)]));
}

function offerWishes(part, job) {
  const mayAsk = me.role === 'operator' || me.role === 'admin';
  for (const [wish, states] of Object.entries(WISHES)) {
    part(wish).hidden = !(mayAsk && states.includes(job.state));
  }
  for (const wish of ['requeue', 'cancel', 'resend']) {
    part(wish).addEventListener('click', () => ask(job.key, wish, {}).catch(tell));
  }
  const form = part('body-size').querySelector('form');
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    ask(job.key, 'body-size', sizeFields(form)).catch(tell);
  });
}

async function draw(job) {
  const item = document.getElementById('job').content.firstElementChild.cloneNode(true);
  const part = (name) => item.querySelector(`.${name}`);
  const report = await reportOf(job);
  part('state').textContent = WORDS[job.state] ?? job.state;
  part('state').dataset.tone = TONES[job.state] ?? 'quiet';
  part('when').textContent = new Date(job.created_at * 1000).toLocaleString();
  part('size').textContent = `${job.instance_count} slices`;
  part('study').href = `../app/explorer.html#study?uuid=${encodeURIComponent(job.study_orthanc_id)}`;
  part('why').textContent = reason(job);
  part('key').textContent = [job.key, job.run > 1 && `run ${job.run}`, way(job)].filter(Boolean).join(' · ');
  const bar = item.querySelector('progress');
  bar.hidden = job.state !== 'running';
  bar.value = job.fraction;
  part('doubt').textContent = doubt(report);
  offerWishes(part, job);
  levelChooser(part('level'), job, report);
  part('pictures').replaceChildren(...pictures(job));
  part('numbers').replaceChildren(...(report ? numbers(report) : []));
  list(part('flags'), report?.flags ?? []);
  list(part('series'), seriesTexts(job));
  list(part('deliveries'), job.deliveries.map(deliveryText));
  return item;
}

function tell(error) {
  const notice = document.getElementById('notice');
  notice.textContent = error ? error.message : '';
  notice.hidden = !error;
}

function summary(status) {
  const supervised = status.node.running ? 'Node running' : 'Node not running';
  const silence = status.node.silent_s === null ? 'never seen' : `seen ${Math.round(status.node.silent_s)} s ago`;
  const node = status.node.supervised ? supervised : `Node is a unit of its own, ${silence}`;
  const engine = status.engine ? `engine ${status.engine.state}` : 'engine not started';
  const detail = status.engine?.detail ? ` (${status.engine.detail})` : '';
  const slower = status.engine?.downgrades?.join(', ');
  const counts = Object.entries(status.jobs ?? {}).map(([state, n]) => `${n} ${state}`).join(', ');
  const refused = status.settings?.state === 'refused' && `settings refused, the former are in force: ${status.settings.problem}`;
  const restart = status.settings?.needs_restart?.length && `a restart is needed for ${status.settings.needs_restart.join(', ')}`;
  const disk = (status.disk ?? 'ok') !== 'ok' && 'the disk is all but full, jobs wait';
  return [node, engine + detail, slower, disk, refused, restart, counts].filter(Boolean).join(' · ');
}

// What somebody is about to ask for must not be drawn away under their hands.
function isFilledIn(item, job) {
  return WISHES.level.includes(job.state) && item.querySelector('.level[open], .body-size[open]') !== null;
}

async function refresh() {
  me ??= await read('me');
  const [status, { jobs }, notTaken] = await Promise.all([read('status'), read('jobs'), read('not-taken')]);
  document.getElementById('summary').textContent = summary(status);
  document.getElementById('empty').hidden = jobs.length > 0;
  const items = await Promise.all(jobs.map(async (job) => {
    const text = JSON.stringify(job);
    const known = drawn.get(job.key);
    if (known?.text === text || (known && isFilledIn(known.item, job))) return known.item;
    const item = await draw(job);
    drawn.set(job.key, { text, item });
    return item;
  }));
  const withJob = new Set(jobs.map((job) => job.study_orthanc_id));
  const alone = notTaken.filter((row) => row.study_orthanc_id && !withJob.has(row.study_orthanc_id));
  document.getElementById('alone').hidden = alone.length === 0;
  list(document.getElementById('not-taken'), alone.map(
    (row) => `${new Date(row.seen_at * 1000).toLocaleString()} · ${notTakenText(row)}`));
  const parent = document.getElementById('jobs');
  const unchanged = items.length === parent.children.length && items.every((item, i) => item === parent.children[i]);
  if (!unchanged) parent.replaceChildren(...items);
  tell(null);
}

async function follow() {
  await refresh().catch(tell);
  setTimeout(follow, POLL_MS);
}

follow();
