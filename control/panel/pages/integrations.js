// Tokens for programs that ask the API for this account.
import { h } from '../lib/dom.js';
import { at, call, get } from '../lib/api.js';
import { checkbox, confirm, copyable, field, tell } from '../lib/form.js';
import { block, note, state } from '../lib/block.js';
import { table } from '../lib/table.js';
import { time } from '../lib/format.js';
import { t } from '../lib/i18n.js';

const SCOPES = ['read', 'trace', 'write'];
const YEAR_MS = 365 * 86400000;

async function create(route, again) {
	const made = await confirm({ title: t('token.add'), text: t('token.add.text'), verb: t('token.add'), danger: false,
		fields: [field({ name: 'label', label: t('label'), help: t('token.label.help'), required: true, maxlength: 64 }),
			SCOPES.map(scope => checkbox({ name: scope, label: t(`scope.${scope}`), help: t(`scope.${scope}.text`), checked: scope === 'read' })),
			field({ name: 'until', label: t('token.until'), help: t('token.until.help'), type: 'date', required: true, value: new Date(Date.now() + YEAR_MS).toISOString().slice(0, 10) })],
		act: values => call('POST', route, { label: values.label.trim(), scopes: SCOPES.filter(scope => values[scope]), until: `${values.until}T00:00:00Z` }) });
	if (!made) return;
	await tell({ title: t('token.made'), done: t('saved.it') }, note('warn', h('p', {}, t('token.once'))), copyable(made.secret, t('token')));
	again();
}

export function page(ctx) {
	const route = `${at('accounts', ctx.account)}/tokens`;
	const remove = (one, again) => confirm({ title: t('token.remove', { LABEL: one.label }), text: t('token.remove.text'), verb: t('token.remove.verb'),
		act: () => call('DELETE', `${route}/${at(one.id)}`) }).then(done => { if (done) again(); });
	const button = again => h('button', { type: 'button', onclick: () => create(route, again) }, t('token.add'));
	return { title: t('page.integrations'), lead: t('integrations.lead'), content: [
		h('section', { class: 'card' }, h('h2', {}, t('tokens')), block(ctx, { label: t('tokens'), every: 60, height: 160, load: signal => get(route, signal),
			isEmpty: found => found.tokens.length === 0, empty: again => [h('p', { class: 'soft' }, t('tokens.none')), h('div', { class: 'row' }, button(again))],
			view: (found, again) => [table({ caption: t('tokens.caption'), rows: found.tokens, columns: [
				{ label: t('label'), head: true, cell: one => one.label }, { label: t('scopes'), cell: one => one.scopes.map(scope => t(`scope.${scope}`)).join(', ') },
				{ label: t('token.until'), cell: one => one.until ? Date.parse(one.until) < Date.now() ? state('off', t('token.ended')) : time(one.until) : t('token.noend') },
				{ label: t('actions'), bare: true, cell: one => h('button', { type: 'button', class: 'danger', onclick: () => remove(one, again) }, t('token.remove.verb')) }] }),
			h('div', { class: 'row' }, button(again))] })),
		h('section', { class: 'card' }, h('h2', {}, t('api.title')), h('p', {}, t('api.text')), copyable(`curl -H "Authorization: Bearer TOKEN" ${location.origin}/api/v1/${at('accounts', ctx.account)}`, 'curl'),
			h('p', {}, h('a', { href: '/api/v1/openapi.yaml', 'data-plain': true }, t('api.description'))))] };
}
