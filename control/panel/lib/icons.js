// Line icons of 16 px; the word beside an icon says what it means.
const paths = {
	ok: 'M3 8.5l3.2 3.2L13 4.8',
	warn: 'M8 4.5V8l2.5 1.8M8 1.7a6.3 6.3 0 1 0 0 12.6A6.3 6.3 0 0 0 8 1.7Z',
	bad: 'M4 4l8 8M12 4l-8 8',
	hold: 'M6 3.5v9M10 3.5v9',
	info: 'M8 7.2v4.3M8 4.6v.1M8 1.7a6.3 6.3 0 1 0 0 12.6A6.3 6.3 0 0 0 8 1.7Z',
	off: 'M3.5 8h9',
	home: 'M2.5 7.5 8 3l5.5 4.5V13h-4V9.5h-3V13h-4Z',
	mail: 'M2 4h12v8.5H2ZM2.3 4.5 8 9l5.7-4.5',
	plug: 'M6 2v3M10 2v3M4.5 5h7v2.5a3.5 3.5 0 0 1-7 0ZM8 11v3',
	book: 'M3 3h4.5L8 3.5 8.5 3H13v9.5H8.5L8 13l-.5-.5H3ZM8 3.5V13',
	globe: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM2 8h12M8 2c2 1.8 2.5 4 2.5 6S10 12.2 8 14c-2-1.8-2.5-4-2.5-6S6 3.8 8 2Z',
	key: 'M10.5 2.5a3 3 0 1 1-2.4 4.8L3 12.4V14H1.5M5 10.5l1.5 1.5',
	queue: 'M2.5 4h11M2.5 8h11M2.5 12h7',
	people: 'M8 8a2.7 2.7 0 1 0 0-5.4A2.7 2.7 0 0 0 8 8ZM2.8 13.5c.4-2.6 2.5-4 5.2-4s4.8 1.4 5.2 4',
	flag: 'M3.5 14V2.5h8.5L10 5.5l2 3H3.5',
	desk: 'M2.5 3h11v8h-11ZM6 14h4M8 11v3',
	copy: 'M5.5 5.5h8v8h-8ZM3.5 10.5h-1v-8h8v1',
	sun: 'M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6ZM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1.1 1.1M11.9 11.9 13 13M13 3l-1.1 1.1M4.1 11.9 3 13',
	moon: 'M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7Z',
	menu: 'M2.5 4.5h11M2.5 8h11M2.5 11.5h11',
	out: 'M9.5 3H13v10H9.5M6.5 5 3 8l3.5 3M3 8h7',
};
const SVG = 'http://www.w3.org/2000/svg';

export function svg(tag, props, ...children) {
	const element = document.createElementNS(SVG, tag);
	for (const [name, value] of Object.entries(props)) element.setAttribute(name, String(value));
	element.append(...children);
	return element;
}

export function icon(name) {
	return svg('svg', { class: 'icon', viewBox: '0 0 16 16', 'aria-hidden': 'true', fill: 'none', stroke: 'currentColor',
		'stroke-width': '1.6', 'stroke-linecap': 'round', 'stroke-linejoin': 'round' },
		svg('path', { d: paths[name] ?? paths.off }));
}
