// Is my mail going out? One sentence with a time, then what needs somebody, then numbers.
import { h } from '../lib/dom.js';
import { at, get } from '../lib/api.js';
import { ago, number, time } from '../lib/format.js';
import { block, problem } from '../lib/block.js';
import { icon } from '../lib/icons.js';
import { counts, destinations } from '../lib/mail.js';
import { table } from '../lib/table.js';
import { t } from '../lib/i18n.js';

const SEEN_MAX = 1000;

async function load(ctx, signal) {
	const mine = at('accounts', ctx.account);
	const [account, day, last] = await Promise.all([get(mine, signal), get(`${mine}/messages?since=1d&limit=${SEEN_MAX}`, signal),
		get(`${mine}/messages?state=delivered&limit=1`, signal)]);
	return { account, messages: day.messages, cut: day.next !== null, last: last.messages[0]?.to.find(one => one.state === 'delivered')?.since ?? null };
}

// The first rule that fits.
function answerOf({ account, messages, last }) {
	const sum = counts(messages), stuck = sum.waiting + sum.held;
	if (account.status === 'pending') return { kind: 'warn', text: t('answer.pending'), more: account.reason };
	if (account.status !== 'active') return { kind: 'bad', text: t('answer.suspended'), more: account.reason };
	if (sum.all && stuck / sum.all > 0.2) return { kind: 'warn', text: t('answer.partly', { N: stuck, M: sum.all }) };
	if (sum.delivered) return { kind: 'ok', text: t('answer.yes', { AGO: ago(last) }) };
	if (last) return { kind: 'off', text: t('answer.none', { WHEN: '' }), at: last };
	return { kind: 'off', text: t('answer.never') };
}

function answer(data) {
	const { kind, text, more, at: when } = answerOf(data);
	return h('div', { class: `answer ${kind}` }, icon(kind), h('div', { class: 'tight' }, h('b', {}, text, when && time(when)), more && h('p', {}, more),
		h('p', { class: 'small' }, t('answer.mode', { MODE: t(`mode.${data.account.mode}`) }))));
}

function problems({ account, messages }, ctx) {
	const list = [], sum = counts(messages);
	const support = h('a', { href: `mailto:${ctx.service.support}` }, ctx.service.support);
	const link = (path, key) => h('a', { class: 'button', href: path }, t(key));
	const unverified = account.domains.filter(one => !one.verified);
	const lost = (account.addresses ?? []).filter(one => one.state === 'lapsed' || one.state === 'lapsing');

	if (account.status === 'disabled') list.push(problem('bad', { title: t('problems.suspended'), why: account.reason,
		steps: h('p', {}, t('problems.suspended.do'), ' ', support), who: t('who.us') }));
	if (unverified.length) list.push(problem(account.status === 'active' && unverified.length < account.domains.length ? 'warn' : 'bad', {
		title: t('problems.domain', { N: unverified.length }), why: t('problems.domain.why', { DOMAINS: unverified.map(one => one.name).join(', ') }),
		steps: h('p', {}, t('problems.domain.do')), who: t('who.dns'), action: link(`/domains/${encodeURIComponent(unverified[0].name)}`, 'problems.domain.go') }));
	if (account.switch) list.push(problem('info', { title: t('problems.switch', { MODE: t(`mode.${account.switch.to}`) }), why: t('problems.switch.why'),
		steps: h('p', {}, t('problems.switch.do')), who: t('who.you'), action: link('/connection', 'page.connection') }));
	if (lost.length) list.push(problem('warn', { title: t('problems.address', { IP: lost.map(one => one.address).join(', ') }), why: t('problems.address.why'),
		steps: h('p', {}, t('problems.address.do')), who: t('who.you'), action: link('/connection', 'page.connection') }));
	if (sum.held) list.push(problem('hold', { title: t('problems.held', { N: sum.held }), why: t('problems.held.why'),
		steps: h('p', {}, t('problems.held.do'), ' ', support), who: t('who.us'), action: link('/messages?state=held&since=7d', 'problems.held.go') }));
	return list;
}

function numbers({ messages, cut }) {
	const sum = counts(messages);
	const one = (key, kind, state) => h('a', { class: 'count', href: `/messages?since=1d&state=${state}` }, h('b', {}, number(sum[key])), h('span', {}, icon(kind), t(`count.${key}`)));
	return h('section', { class: 'stack' }, h('h2', {}, t('counts.title')), h('div', { class: 'counts' }, one('delivered', 'ok', 'delivered'),
		one('waiting', 'warn', 'deferred'), one('refused', 'bad', 'bounced'), one('held', 'hold', 'held')),
		cut && h('p', { class: 'small soft' }, t('counts.cut', { N: SEEN_MAX })));
}

function firstSteps({ account }) {
	const verified = account.domains.some(one => one.verified);
	const step = (done, key, path) => h('li', {}, h('div', { class: 'row' }, h('span', { class: `state ${done ? 'ok' : 'off'}` }, icon(done ? 'ok' : 'off'), t(done ? 'steps.done' : 'steps.todo')),
		h('a', { href: path }, t(key))));
	return h('section', { class: 'card' }, h('h2', {}, t('steps.title')), h('p', {}, t('steps.text')),
		h('ol', { class: 'steps' }, step(true, 'steps.password', '/me'), step(verified, 'steps.domain', '/domains'),
			step(false, 'steps.server', '/guides'), step(false, 'steps.spf', '/domains'), step(false, 'steps.message', '/messages')));
}

function limits({ account }) {
	const inForce = account.limits_in_force ?? {};
	const row = key => [h('dt', {}, t(`limit.${key}`)), h('dd', {}, inForce[key] ? number(inForce[key]) : t('limit.none'))];
	return h('section', { class: 'card c5' }, h('h2', {}, t('limits.title')), h('dl', { class: 'facts' }, ['messages_hour', 'messages_day', 'recipients_hour', 'recipients_day'].map(row),
		h('dt', {}, t('mailboxes')), h('dd', {}, number(account.mailboxes ?? 0))), h('p', { class: 'small soft' }, t('limits.text')));
}

function sites({ messages }) {
	const list = destinations(messages).slice(0, 6);
	return h('section', { class: 'card c7' }, h('h2', {}, t('sites.title')), table({ caption: t('sites.caption'), rows: list, columns: [
		{ label: t('domain'), head: true, cell: one => h('a', { href: `/messages?since=1d&domain=${encodeURIComponent(one.name)}` }, one.name) },
		...['delivered', 'waiting', 'refused'].map(key => ({ label: t(`count.${key}`), number: true, cell: one => number(one[key]) }))] }));
}

export function page(ctx) {
	return { title: t('page.overview'), lead: t('overview.lead'), action: h('a', { class: 'button primary', href: '/messages' }, t('overview.search')),
		content: block(ctx, { label: t('page.overview'), every: 60, height: 360, load: signal => load(ctx, signal), view: data => {
			const cards = problems(data, ctx);
			return h('div', { class: 'stack wide' }, answer(data), cards.length > 0 && h('section', { class: 'stack' }, h('h2', {}, t('problems.title')), cards),
				data.messages.length || data.last ? numbers(data) : firstSteps(data),
				h('div', { class: 'cols' }, data.messages.length > 0 && sites(data), limits(data)));
		} }) };
}
