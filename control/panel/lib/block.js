// A part of a page that has data: it loads, polls while it is seen, and says when data is missing, old or not allowed.
import { fill, h } from './dom.js';
import { icon } from './icons.js';
import { t } from './i18n.js';
import { clock } from './format.js';
import { background, Refusal } from './api.js';

const LONGEST_MS = 300000;

export function note(kind, ...children) {
	return h('div', { class: `note ${kind}` }, icon(kind), h('div', {}, children));
}

export function state(kind, word) {
	return h('span', { class: `state ${kind}` }, icon(kind), word);
}

function failed(failure, retry) {
	if (failure.status === 403) return note('off', h('p', {}, t('block.noright')), h('p', { class: 'small' }, failure.message));
	const button = h('button', { type: 'button', onclick: retry }, t('retry'));
	return note('bad', h('p', {}, failure instanceof Refusal ? failure.text : t('problem.other')),
		failure.message && h('details', {}, h('summary', {}, t('original')), h('div', {}, h('code', { class: 'original' }, failure.message))),
		h('div', { class: 'row' }, button));
}

// `load(signal)` gives data, `view(data, again)` makes nodes of it. `isEmpty(data)` shows `empty` instead. `every`: seconds.
export function block(ctx, { load, view, isEmpty, empty, every = 60, height = 120, label }) {
	const body = h('div', { class: 'stack' });
	const stale = h('p', { class: 'small soft', hidden: true });
	const element = h('div', { class: 'stack', role: 'group', 'aria-label': label, 'aria-busy': 'true' }, stale, body);
	let shown = null, at = null, timer = null, wait = every * 1000, running = false;

	const skeleton = setTimeout(() => {
		if (shown !== null) return;
		const bones = h('div', { class: 'skeleton' });
		bones.style.minHeight = `${height}px`;
		fill(body, h('span', { class: 'unseen' }, t('loading')), bones);
	}, 200);

	const again = () => { clearTimeout(timer); return run(); };
	const show = data => {
		const fresh = JSON.stringify(data);
		at = new Date();
		stale.hidden = true;
		if (fresh === shown) return;
		shown = fresh;
		fill(body, isEmpty?.(data) ? empty(again) : view(data, again));
	};
	// `load` sends its requests before it first waits, so that the mark is theirs alone.
	const ask = byItself => {
		background.on = byItself;
		try {
			return load(ctx.signal);
		} finally {
			background.on = false;
		}
	};
	const run = async byItself => {
		if (running || ctx.signal.aborted) return;
		running = true;
		try {
			show(await ask(byItself === true));
			wait = every * 1000;
		} catch (failure) {
			if (failure.name === 'AbortError' || ctx.signal.aborted) return;
			if (!(failure instanceof Refusal)) console.error(failure);
			wait = Math.min(Math.max(wait, 5000) * 2, LONGEST_MS);
			if (shown === null || failure.status === 403 || failure.status === 404) {
				shown = null;
				fill(body, failed(failure, again));
			} else {
				stale.textContent = t('stale', { TIME: clock(at) });
				stale.hidden = false;
			}
		} finally {
			clearTimeout(skeleton);
			element.removeAttribute('aria-busy');
			running = false;
			if (every) plan();
		}
	};
	const plan = () => {
		clearTimeout(timer);
		if (!ctx.signal.aborted && !document.hidden) timer = setTimeout(run, wait, true);
	};
	document.addEventListener('visibilitychange', () => { if (every) plan(); }, { signal: ctx.signal });
	ctx.signal.addEventListener('abort', () => { clearTimeout(timer); clearTimeout(skeleton); });
	run();
	element.again = again;
	return element;
}

// What happens, why, what to do, who must act, and the original text, folded: all five, always.
export function problem(kind, { title, why, steps, who, original, action }) {
	return h('article', { class: `problem ${kind}` }, h('h3', {}, state(kind, t(`kind.${kind}`)), ' ', title),
		h('dl', { class: 'parts' },
			h('dt', {}, t('problem.why')), h('dd', {}, why ?? t('unknown')),
			h('dt', {}, t('problem.do')), h('dd', {}, steps, action && h('div', { class: 'row' }, action)),
			h('dt', {}, t('problem.who')), h('dd', {}, who)),
		original && h('details', {}, h('summary', {}, t('original')), h('div', {}, h('code', { class: 'original' }, original))));
}
