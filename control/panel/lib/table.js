// Tables: caption, headers with scope, sorting by buttons; below 640 px each row is a card.
import { fill, h } from './dom.js';
import { t } from './i18n.js';

// columns: { key, label, cell(row), sort(row)?, number?, head?, bare? }. `more()`, when given, fetches further rows.
export function table({ caption, columns, rows, more }) {
	const body = h('tbody', { role: 'rowgroup' });
	const list = [...rows];
	let by = null, down = false;

	const cell = (column, row) => {
		const props = { class: [column.number && 'number', column.bare && 'bare'].filter(Boolean).join(' ') || null, 'data-label': column.label };
		return column.head ? h('th', { ...props, scope: 'row', role: 'rowheader' }, column.cell(row))
			: h('td', { ...props, role: 'cell' }, column.cell(row));
	};
	const draw = () => {
		if (by) {
			const order = (a, b) => a < b ? -1 : Number(a > b);
			list.sort((a, b) => order(by.sort(a), by.sort(b)) * (down ? -1 : 1));
		}
		fill(body, list.map(row => h('tr', { role: 'row' }, columns.map(column => cell(column, row)))));
	};
	const heads = columns.map(column => {
		const th = h('th', { scope: 'col', role: 'columnheader', class: column.number && 'number' });
		if (!column.sort) return fill(th, column.bare ? h('span', { class: 'unseen' }, column.label) : column.label);
		return fill(th, h('button', { type: 'button', class: 'plain', onclick: () => {
			down = by === column && !down;
			by = column;
			for (const one of heads) one.removeAttribute('aria-sort');
			th.setAttribute('aria-sort', down ? 'descending' : 'ascending');
			draw();
		} }, column.label));
	});
	draw();
	const button = more && h('button', { type: 'button', onclick: async () => {
		button.setAttribute('aria-disabled', 'true');
		const { rows: fresh, last } = await more();
		list.push(...fresh);
		draw();
		button.removeAttribute('aria-disabled');
		if (last) button.remove();
		body.children[list.length - fresh.length]?.querySelector('a, button')?.focus();
	} }, t('table.more'));
	return h('div', { class: 'stack' }, h('div', { class: 'scroll' }, h('table', { role: 'table' }, h('caption', {}, caption),
		h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, heads)), body)), button && h('div', { class: 'row' }, button));
}
