// Is this domain ready to send? What the DNS says now, and the record that is to be there.
import { h } from '../lib/dom.js';
import { at, call } from '../lib/api.js';
import { confirm, copyable } from '../lib/form.js';
import { block, note, state } from '../lib/block.js';
import { time } from '../lib/format.js';
import { t } from '../lib/i18n.js';

const kinds = { ok: 'ok', operator: 'ok', 'by-other-means': 'ok', missing: 'bad', 'two-records': 'bad', 'too-many-lookups': 'bad', syntax: 'bad', unknown: 'off' };
const rows = ['ownership', 'spf', 'dkim', 'dmarc', 'soa'];
const optional = new Set(['dmarc', 'dkim']);

const kindOf = (key, row) => row.state === 'missing' && optional.has(key) ? 'warn' : kinds[row.state] ?? 'off';

function record(found) {
	return h('div', { class: 'stack' }, h('dl', { class: 'facts' }, h('dt', {}, t('record.type')), h('dd', {}, found.type),
		h('dt', {}, t('record.name')), h('dd', { class: 'stack' }, copyable(found.name, t('record.name')), found.short !== found.name && [h('span', { class: 'small soft' }, t('record.short')), copyable(found.short, t('record.name'))]),
		h('dt', {}, t('record.value')), h('dd', {}, copyable(found.value, t('record.value')))));
}

function row(key, one, dns) {
	const kind = kindOf(key, one);
	return h('section', { class: 'card' }, h('h2', {}, t(`check.${key}`), state(kind, t(`check.${one.state}`))), h('p', { class: 'soft' }, t(`check.${key}.text`)),
		h('dl', { class: 'parts' }, h('dt', {}, t('check.found')), h('dd', {}, one.found.length ? h('div', { class: 'stack' }, one.found.map(text => h('code', { class: 'original' }, text))) : t('check.nothing')),
			one.problem && [h('dt', {}, t('problem.why')), h('dd', {}, one.problem)],
			one.record && kind !== 'ok' && [h('dt', {}, t('problem.do')), h('dd', {}, h('div', { class: 'stack' }, h('p', {}, t('record.set')), record(one.record))),
				h('dt', {}, t('problem.who')), h('dd', {}, t('who.runs', { DNS: dns.name ?? (dns.hosts.join(', ') || t('who.dns')) }))]));
}

// A text for whoever runs the DNS, with every record that is missing.
function requestText(report) {
	const wanted = rows.map(key => report.checks[key]).filter(one => one?.record && kinds[one.state] !== 'ok');
	return [t('request.hello'), '', t('request.text', { DOMAIN: report.name }), '',
		...wanted.flatMap(one => [`${t('record.type')}: ${one.record.type}`, `${t('record.name')}: ${one.record.name}`, `${t('record.value')}: ${one.record.value}`, '']), t('request.thanks')].join('\n');
}

function view(report, again) {
	const missing = rows.filter(key => report.checks[key]?.record && kinds[report.checks[key].state] !== 'ok');
	const names = missing.filter(key => !optional.has(key)).map(key => t(`check.${key}`)).join(', ');
	const { dns } = report;
	return h('div', { class: 'stack wide' },
		note(report.ready ? 'ok' : 'warn', h('p', {}, h('b', {}, report.ready ? t('ready') : t('ready.not', { WHAT: names || t('unknown') }))),
			h('p', { class: 'small' }, t('checked'), ' ', time(report.at)), h('div', { class: 'row' }, h('button', { type: 'button', onclick: again }, t('check.now')))),
		missing.length > 0 && h('section', { class: 'card' }, h('h2', {}, t('request.title', { DNS: dns.name ?? t('who.dns') })), h('p', { class: 'soft' }, t('request.lead')), copyable(requestText(report), t('request.title', { DNS: dns.name ?? t('who.dns') }))),
		rows.filter(key => report.checks[key] && !Array.isArray(report.checks[key])).map(key => row(key, report.checks[key], dns)),
		h('section', { class: 'card' }, h('h2', {}, t('dns.title')), h('dl', { class: 'facts' }, h('dt', {}, t('dns.who')), h('dd', {}, dns.name ? dns.url ? h('a', { href: dns.url, rel: 'noreferrer', target: '_blank' }, dns.name) : dns.name : t('unknown')),
			h('dt', {}, t('dns.hosts')), h('dd', {}, dns.hosts.length ? dns.hosts.map(one => h('div', {}, h('code', {}, one))) : t('unknown')),
			dns.form && [h('dt', {}, t('dns.form')), h('dd', {}, t(`dns.form.${dns.form}`))])));
}

export function page(ctx) {
	const mine = at('accounts', ctx.account), name = ctx.params.domain;
	const remove = async () => {
		if (await confirm({ title: t('domain.remove', { DOMAIN: name }), text: t('domain.remove.text'), verb: t('domain.remove.verb'), act: () => call('DELETE', `${mine}/${at('domains', name)}`) })) ctx.go('/domains');
	};
	return { title: name, lead: t('domain.lead'), crumb: h('a', { href: '/domains' }, t('page.domains')), action: h('button', { type: 'button', class: 'danger', onclick: remove }, t('domain.remove.verb')),
		content: block(ctx, { label: name, every: 0, height: 480, load: signal => call('POST', `${mine}/${at('domains', name, 'check')}`, undefined, { signal }), view }) };
}
