// What messages have in common on all pages: states, causes, sums.
import { has, t } from './i18n.js';
import { state } from './block.js';

export const kindOf = { accepted: 'info', released: 'info', deferred: 'warn', held: 'hold', delivered: 'ok', bounced: 'bad', expired: 'bad', sandboxed: 'off' };
export const mailState = name => state(kindOf[name] ?? 'off', has(`mail.${name}`) ? t(`mail.${name}`) : name);
export const causeText = name => !name ? '–' : has(`class.${name}`) ? t(`class.${name}`) : name;

// The worst state of a message's recipients stands for the message.
const order = ['delivered', 'sandboxed', 'accepted', 'released', 'deferred', 'held', 'expired', 'bounced'];
export const worst = recipients => recipients.reduce((found, one) =>
	order.indexOf(one.state) > order.indexOf(found.state) ? one : found, recipients[0] ?? { state: 'accepted' });

const GROUPS = { delivered: 'delivered', sandboxed: 'delivered', accepted: 'waiting', released: 'waiting', deferred: 'waiting', held: 'held', bounced: 'refused', expired: 'refused' };

// How many recipients of these messages are in which state.
export function counts(messages) {
	const sum = { delivered: 0, waiting: 0, refused: 0, held: 0, all: 0 };
	for (const message of messages)
		for (const one of message.to) {
			sum[GROUPS[one.state] ?? 'waiting']++;
			sum.all++;
		}
	return sum;
}

// The same for each domain of recipients, the largest first.
export function destinations(messages) {
	const found = new Map();
	for (const message of messages)
		for (const one of message.to) {
			const name = one.address.split('@').pop().toLowerCase();
			if (!found.has(name)) found.set(name, { name, delivered: 0, waiting: 0, refused: 0, held: 0, all: 0 });
			found.get(name)[GROUPS[one.state] ?? 'waiting']++;
			found.get(name).all++;
		}
	return [...found.values()].sort((a, b) => b.all - a.all);
}

export const recipients = list => [list[0]?.address ?? '–', list.length > 1 && ` ${t('mail.more', { N: list.length - 1 })}`];
