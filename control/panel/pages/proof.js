// The link that proves an address: a person presses a button, so that previews of links prove nothing.
import { h, fill } from '../lib/dom.js';
import { call, get } from '../lib/api.js';
import { copyable, form } from '../lib/form.js';
import { block, note } from '../lib/block.js';
import { t, parts } from '../lib/i18n.js';

export function page(ctx) {
	const place = h('div', { class: 'card' });
	const seen = block(ctx, { label: t('proof.from'), every: 0, height: 24, load: signal => get('ip', signal, { quiet: true }),
		view: ({ address, ipv6 }) => [h('p', {}, parts('connection.youare', { IP: h('b', {}, address) })), ipv6 && note('warn', h('p', {}, t('connection.ipv6')))] });
	fill(place, seen, form({ submit: t('proof.submit'), send: async () => {
		const path = `/p/${encodeURIComponent(ctx.params.token)}`;
		const done = await call('GET', path, undefined, { quiet: true });
		fill(place, note('ok', h('p', {}, t('proof.done', { IP: (done.addresses ?? []).join(', ') })), h('p', {}, t('proof.next'))));
	} }));
	return { title: t('page.proof'), lead: t('proof.lead'), content: [place,
		h('div', { class: 'card' }, h('h2', {}, t('proof.server')), h('p', {}, t('proof.server.text')), copyable(`curl -4 ${location.origin}/p/${ctx.params.token}`, 'curl'))] };
}
