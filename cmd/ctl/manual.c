/*
 * manual.c - the text and the examples of each command's --help, beside its options.
 *
 * The options' texts are in options.c. This text says what an operator at night wants to know
 * first.
 */
#include <string.h>

#include "cmd/ctl/ctl.h"

/* clang-format off */
static const struct manual manuals[] = {
	{ "account add",
	  "Makes an account with its first user, or in mode ip with its first addresses. The password is shown "
	  "this once and stored nowhere. A domain belongs to one account; mail may come from those that are "
	  "verified.",
	  { "shoutctl account add --name 'Acme SRL' --contact it@acme.example \\\n"
	    "      --domain acme.example=25 --verified --language it --plan base",
	    "shoutctl account add --name Acme --contact it@acme.example --domain acme.example \\\n"
	    "      --mode ip --ip 192.0.2.7" } },
	{ "account list", "Shows accounts by id: their state, domains and users.",
	  { "shoutctl account list --limit 1000" } },
	{ "account show",
	  "Shows an account, the limits that are in force, and what its mail did in the last 5 minutes, hour, "
	  "day and week.", { "shoutctl account show k3m9x2p7qa" } },
	{ "account check",
	  "Looks at the account's domains in the DNS, now. A domain whose TXT record is seen is verified from then on. A state is ok, by-other-means (mail passes SPF, but not by "
	  "the include we ask for), operator (verified by add-domain --verified), missing, two-records, "
	  "too-many-lookups, syntax or unknown (the DNS does not answer). Below stands the record that is to be there, "
	  "which keeps what the domain's own one says. DMARC may be missing.",
	  { "shoutctl account check k3m9x2p7qa", "shoutctl account check k3m9x2p7qa --domain acme.example --json" } },
	{ "account change",
	  "Changes what is given; the rest stays. A limit of \"default\" is the plan's or the configured one again. With "
	  "another host, the account is told that name from now on; the name before goes on working.",
	  { "shoutctl account change k3m9x2p7qa --messages-day 20000", "shoutctl account change k3m9x2p7qa --policy strict",
	    "shoutctl account change k3m9x2p7qa --plan base --language it" } },
	{ "account mailboxes",
	  "Says how many mailboxes each of these domains has; the others keep theirs. The sum must be within the account's "
	  "plan, whose limits follow. The account must be active.",
	  { "shoutctl account mailboxes k3m9x2p7qa acme.example=25 acme-shop.example=3" } },
	{ "account disable",
	  "The account's servers are refused from now on (550 5.7.1). Mail that was accepted before is still "
	  "delivered: suspend or bounce it where it must not be. The customer reads the reason. At --until the account "
	  "sends again by itself.",
	  { "shoutctl account disable k3m9x2p7qa --reason 'too many complaints' --until 2027-01-31T12:00Z",
	    "shoutctl suspend --account k3m9x2p7qa" } },
	{ "account enable", "Takes a disable back, or begins an account that was added with --pending.",
	  { "shoutctl account enable k3m9x2p7qa" } },
	{ "account domains",
	  "Each domain is looked at once a day. One that its TXT record verified is lost after three looks without the "
	  "record, and 7 days later its mail is refused; a DNS that does not answer counts for nothing. What an operator "
	  "verified stays so.",
	  { "shoutctl account domains k3m9x2p7qa", "shoutctl account check k3m9x2p7qa --domain acme.example" } },
	{ "account delete",
	  "To clients the account does not exist any more: logins hear 535, its addresses 530. For 30 days it keeps its "
	  "domains, users and addresses, and restore brings it back; with --now it goes at once, with no way back. Its "
	  "waiting mail is still delivered, unless --bounce has it refused.",
	  { "shoutctl account delete k3m9x2p7qa", "shoutctl account delete k3m9x2p7qa --bounce" } },
	{ "account close", "The account ends as by delete: for 30 days it can come back.",
	  { "shoutctl account close k3m9x2p7qa" } },
	{ "account restore", "Brings a deleted account back as it was, with its passwords.",
	  { "shoutctl account list --deleted", "shoutctl account restore k3m9x2p7qa" } },
	{ "account export",
	  "Writes one account, or all that are not deleted, into a file that another relay can import. It holds what "
	  "passwords are checked by, so only its owner may read it.",
	  { "shoutctl account export --all --output accounts.jsonl",
	    "shoutctl account export k3m9x2p7qa --output account.jsonl --force" } },
	{ "account import",
	  "Takes the accounts of an export, with ids and passwords. First all of the file is looked at: if anything in it "
	  "cannot be taken, nothing is. What is here already and the same stays; what differs is named, and with --replace "
	  "becomes what the file says. - is standard input.",
	  { "shoutctl account import accounts.jsonl --dry-run", "shoutctl account import accounts.jsonl --replace" } },
	{ "account mode",
	  "Switches an account to the other mode: its servers are known by a login (credentials) or by their address (ip). "
	  "Both ways count until the first mail by the new one was accepted; then the new one is in force, and the old one "
	  "counts for 14 more days, or as --grace says. Until then --undo takes the switch back. --extend lengthens the "
	  "time of grace once, by as much again; --end ends it now. An account without a user gets one, whose password is "
	  "shown this once.",
	  { "shoutctl account mode k3m9x2p7qa ip --ip 192.0.2.7", "shoutctl account mode k3m9x2p7qa credentials --grace 30d",
	    "shoutctl account mode k3m9x2p7qa --end" } },
	{ "account mail activation", "Sends the contact the first mail of the service again: since when, which domains.",
	  { "shoutctl account mail activation k3m9x2p7qa" } },
	{ "account mail config", "Sends the contact the host, the ports, how servers log in, and a DNS record for each domain.",
	  { "shoutctl account mail config k3m9x2p7qa" } },
	{ "account mail username",
	  "Sends the contact the username (of --username, or of the only user). A password is in no mail but the one that "
	  "was sent when it was made: make a new one.",
	  { "shoutctl account mail username k3m9x2p7qa", "shoutctl account password k3m9x2p7qa --mail" } },
	{ "account notices",
	  "Lists the mails of the service that the account was sent, newest first: the last 64. Whether one arrived is told "
	  "by `trace --recipient`.",
	  { "shoutctl account notices k3m9x2p7qa" } },
	{ "account alerts",
	  "Shows who gets which mails, or changes it: MAIL is one of changed, limit, delay, mailboxes, quality, dns, "
	  "webhook-off, virus, held; MAILBOX up to five with commas between, nobody, or contact. All other mails go to the "
	  "contact. --at says at which parts of a limit the account is told.",
	  { "shoutctl account alerts k3m9x2p7qa", "shoutctl account alerts k3m9x2p7qa virus=it@acme.example,boss@acme.example",
	    "shoutctl account alerts k3m9x2p7qa delay=nobody --at 50,80,100" } },
	{ "account password",
	  "Makes a new password for a user, and shows it this once. The old one ends at once, or with --grace goes on "
	  "working for so long beside the new one.",
	  { "shoutctl account password k3m9x2p7qa --username acme-srl-x7k2m9",
	    "shoutctl account password k3m9x2p7qa --username acme-srl-x7k2m9 --grace 7d" } },
	{ "account add-domain", "Adds a domain, or changes the mailboxes or the verification of one that is there.",
	  { "shoutctl account add-domain k3m9x2p7qa --domain acme.example=25 --verified" } },
	{ "account remove-domain", "The account may no longer send from the domain, which another one may have then.",
	  { "shoutctl account remove-domain k3m9x2p7qa --domain acme.example" } },
	{ "account add-address", "Mail from the address is the account's, without a password, from now on. A network is /16 or longer (IPv6: /32), and overlaps none of another account. With --waiting it counts once a user of the account has logged in from it, or a link of prove-address was opened there. An address that is idle for 25 days is lapsing, and 5 days later it counts no more, until it is proved again.",
	  { "shoutctl account add-address k3m9x2p7qa --ip 192.0.2.7", "shoutctl account add-address k3m9x2p7qa --ip 2001:db8:1::/64" } },
	{ "account prove-address",
	  "Makes a link for an address that waits, or has lapsed. Opened on the server with that address, once and within a "
	  "day, the link makes the address active. A link of before counts no more.",
	  { "shoutctl account prove-address k3m9x2p7qa --ip 192.0.2.7" } },
	{ "account remove-address", "Takes an address or a network away again.",
	  { "shoutctl account remove-address k3m9x2p7qa --ip 192.0.2.7" } },
	{ "account sessions",
	  "Shows the last 50 sessions of a day by the account's users and from its addresses, and below the last 20 that "
	  "were refused something what was said, without secrets.",
	  { "shoutctl account sessions k3m9x2p7qa" } },
	{ "account limits",
	  "Shows the limits of an account and of its users that have some of their own: how much is used now, and of one that "
	  "is reached, when the next message may go.",
	  { "shoutctl account limits k3m9x2p7qa" } },
	{ "account test",
	  "Begins a test: for ten minutes, the relay tells how far the account's server came in its own sessions (name, "
	  "ports, connection, tls, auth, domain, delivered), and why the first step failed that did. With --wait it ends "
	  "when all was seen, or something failed; with --id it looks at the test that was begun last.",
	  { "shoutctl account test k3m9x2p7qa --wait", "shoutctl account test k3m9x2p7qa --id 7k2m9x4w8e3n5p6q" } },
	{ "account add-user", "Makes one more user, best one a device; the password is shown this once.",
	  { "shoutctl account add-user k3m9x2p7qa --label 'Printer, 2nd floor' --messages-day 200" } },
	{ "account change-user",
	  "Changes what is given of a user; the rest stays. Its limits count beside the account's; 0: none. With --network "
	  "it may be used from these networks only, with --network any from anywhere again. In the sandbox its mail is "
	  "accepted, traced (state sandboxed) and counted, and goes nowhere.",
	  { "shoutctl account change-user k3m9x2p7qa --username acme-srl-x7k2m9 --network 192.0.2.0/24",
	    "shoutctl account change-user k3m9x2p7qa --username acme-srl-x7k2m9 --sandbox on",
	    "shoutctl account change-user k3m9x2p7qa --username acme-srl-x7k2m9 --enabled off" } },
	{ "account suspend-user",
	  "The operator takes a user's right to log in; its customer reads the reason, and cannot take it back. The "
	  "account's other users go on.",
	  { "shoutctl account suspend-user k3m9x2p7qa --username acme-srl-x7k2m9 --reason 'sends viruses'" } },
	{ "account resume-user", "Takes a suspend-user back.",
	  { "shoutctl account resume-user k3m9x2p7qa --username acme-srl-x7k2m9" } },
	{ "account remove-user", "The user's password no longer counts, from now on.",
	  { "shoutctl account remove-user k3m9x2p7qa --username acme-srl-x7k2m9" } },
	{ "score",
	  "Shows the counts of the last 5 minutes, hour, day and week: recipients sent, those to whom the account never "
	  "delivered before (new), and how they ended; the new ones expected of an hour; and the step of the ladder: notify, "
	  "throttle, suspect, hold or block, with its figures and threshold. Without an option it is the account's, less what "
	  "held originators did.",
	  { "shoutctl score k3m9x2p7qa", "shoutctl score k3m9x2p7qa --originator anna@acme.example" } },
	{ "score show", "Shows the originators, credentials and accounts that are on a step of the ladder, the highest first.",
	  { "shoutctl score show" } },
	{ "score release",
	  "Ends the step for a day, lets the mail go that it holds, and teaches the baseline that so much is usual. Viruses still "
	  "hold. For one originator of an account, say which.",
	  { "shoutctl score release k3m9x2p7qa --originator anna@acme.example" } },
	{ "score forgive",
	  "Ends the step for a day, without teaching anything. Held mail stays: queue release or queue bounce decides about it.",
	  { "shoutctl score forgive k3m9x2p7qa --originator anna@acme.example",
	    "shoutctl queue bounce --account k3m9x2p7qa --sender anna@acme.example" } },
	{ "top", "Shows who sent to most recipients since the hour began, accounts and originators.", { "shoutctl top --limit 20" } },
	{ "dkim list", "Shows the domains that have keys, whose they are, and which selectors sign.", { "shoutctl dkim list --json" } },
	{ "dkim show",
	  "Shows a domain's keys: active (signs), next (published, signs after a rotation), former (no longer signs). Below each "
	  "stands the record that the domain's DNS has to have, and with dkim.zone the one that our own zone has to have.",
	  { "shoutctl dkim show acme.example" } },
	{ "dkim enable",
	  "Makes two keys for a verified domain, one to sign with and one for the next rotation, and signs the domain's mail from now "
	  "on. Until the records are in the DNS, receivers take the mail as unsigned. dkim.domain, our own, can be enabled likewise: "
	  "then all mail has our signature, too.",
	  { "shoutctl dkim enable acme.example", "shoutctl dkim enable acme.example --algorithm rsa-sha256 --algorithm ed25519-sha256" } },
	{ "dkim rotate",
	  "The next key signs from now on, and the one before stays published, for mail that is on its way. The next rotation, "
	  "7 days later or with --now, first makes a new key in its place: publish it, then rotate again.",
	  { "shoutctl dkim rotate acme.example" } },
	{ "dkim disable", "Mail of the domain goes out unsigned. The keys stay, and enable takes them again.",
	  { "shoutctl dkim disable acme.example" } },
	{ "queue list",
	  "Shows mail that is not delivered yet, in the order of its flow: inbound (to be scanned, or in a scan), "
	  "ready (with a sender, or on its way to one), attempting, then what waits and what is held, a line for "
	  "each message and site. Behind it stands who has it in hand, or what was said last: of the mail or, when "
	  "it was never tried, of its site. All filters that are given must match.",
	  { "shoutctl queue list --provider outlook.com", "shoutctl queue list --state attempting",
	    "shoutctl queue list --state held --account k3m9x2p7qa" } },
	{ "queue summary",
	  "Counts what queue list lists, by whose it is, by what was said last (4.7.x: a reply's enhanced code; dns, "
	  "connect, tls, lost: no host, no connection, no TLS, a connection lost; ours: our own decision; never; "
	  "held) and by how long ago it was accepted. The largest groups come first.",
	  { "shoutctl queue summary", "shoutctl queue summary --by domain --provider google",
	    "shoutctl queue summary --by account" } },
	{ "queue show", "Shows one message wherever it is, and all that is known about its next attempt.",
	  { "shoutctl queue show 01jdq4v0m3e8k5r2t7w9y1b6c0" } },
	{ "queue retry",
	  "Has mail tried now that waits for its next attempt, also where its site rests. Held mail is not meant "
	  "(release), nor what is suspended (resume).",
	  { "shoutctl queue retry --provider outlook.com --dry-run", "shoutctl queue retry 01jdq4v0m3e8k5r2t7w9y1b6c0" } },
	{ "queue bounce",
	  "Ends mail as refused for good: its senders get a bounce. There is no way back, so try --dry-run first. "
	  "Mail that is being transmitted ends with what its host says.",
	  { "shoutctl queue bounce --account k3m9x2p7qa --domain nowhere.example --dry-run" } },
	{ "queue release", "Sends mail that is held, which was found infected or could not be scanned.",
	  { "shoutctl queue release 01jdq4v0m3e8k5r2t7w9y1b6c0" } },
	{ "queue bad", "Shows records that could not be read and were set aside, by key.", { "shoutctl queue bad" } },
	{ "queue bad show", "Shows one of them as a hex dump, or with --raw its bytes.",
	  { "shoutctl queue bad show 696e626f756e642f0001 --raw > record" } },
	{ "queue bad remove", "Removes it for ever, with its message's body when nothing else needs that.",
	  { "shoutctl queue bad remove 696e626f756e642f0001" } },
	{ "suspend",
	  "Mail that matches waits without an attempt, what is there now and what comes later, until resume or "
	  "until the time has passed. It expires as usual meanwhile.",
	  { "shoutctl suspend --site mx.example --for 4h --reason 'they asked for it'", "shoutctl suspend --account k3m9x2p7qa" } },
	{ "resume", "Takes back the suspension with exactly these filters; what waited for it goes at once.",
	  { "shoutctl suspensions", "shoutctl resume --site mx.example" } },
	{ "rules",
	  "Shows what operators had retried, bounced and released, the newest first. A rule also holds for mail "
	  "that was accepted before it and comes to the sender later; it is kept for six days.",
	  { "shoutctl rules" } },
	{ "replies unknown",
	  "Shows what mail hosts answered lately that no response rule knows, the most frequent first: such refusals are "
	  "judged by their code alone. A rule for it goes into the file that sender.replies names; shout check --mx HOST "
	  "--reply TEXT says what it makes of a reply, and SIGHUP has senders read the file again.",
	  { "shoutctl replies unknown", "shoutctl replies unknown --json" } },
	{ "suspensions", "Shows what is suspended: by whom, since and until when, and why.", { "shoutctl suspensions" } },
	{ "why",
	  "Tells all that is known of a message: by its id, its Message-ID, or the address of a sender or a "
	  "recipient (the newest messages then). What was refused, which has no id, is told by the address of "
	  "the client, the username, the sender or the recipient.",
	  { "shoutctl why 01jdq4v0m3e8k5r2t7w9y1b6c0", "shoutctl why someone@customer.example --limit 50",
	    "shoutctl why 192.0.2.7" } },
	{ "events",
	  "Shows what happened, a line each: what was accepted, refused (rejected, auth-failed, tls-failed), "
	  "delivered, deferred, bounced ... All that is given must match. Without --since the newest are shown, with "
	  "it the first from then on; with --follow also what comes, also when control starts again meanwhile. What is refused shows within seconds, and "
	  "what is refused again in the same way once a minute, with a count. Times are UTC.",
	  { "shoutctl events --client 192.0.2.7 --since 10:00", "shoutctl events --event auth-failed --username acme-srl-x7k2m9",
	    "shoutctl events --domain acme.example --since 2h --limit 1000" } },
	{ "egress add",
	  "Lets mail leave from an address, which every sender binds, or reaches through the SOCKS5 proxy that has it. Its PTR "
	  "record has to lead to --helo, and that name back to it. The pool says whose mail: good (all that no other pool "
	  "takes), new (accounts younger than 14 days), suspect, bounce (reports and notices), dedicated:NAME. The same "
	  "account's mail to the same provider keeps its address.",
	  { "shoutctl egress add 192.0.2.7 --helo out7.relay.example --pool good --warm",
	    "shoutctl egress add 192.0.2.8 --helo out8.relay.example --pool bounce \\\n"
	    "      --via socks5://shout:secret@10.0.0.8:1080" } },
	{ "egress list", "Shows the addresses that mail leaves from: their pools, and whether they rest. None: sender.source_address counts.",
	  { "shoutctl egress list", "shoutctl --json egress list" } },
	{ "egress show", "Shows one address that mail leaves from.", { "shoutctl egress show 192.0.2.7" } },
	{ "egress rest", "No mail leaves from the address until then; its mail goes from others of its pool, or waits. --until now ends the rest.",
	  { "shoutctl egress rest 192.0.2.7 --until 2027-01-31T12:00", "shoutctl egress rest 192.0.2.7 --until now" } },
	{ "egress lift",
	  "Says that hosts no longer refuse the address: its lanes end their rests, and mail that was refused because of the "
	  "address (queue list shows ip-blamed) is tried once more from it.",
	  { "shoutctl egress lift 192.0.2.7" } },
	{ "egress pool", "Puts the address into another pool. Mail that waits and was tried from it keeps it.",
	  { "shoutctl egress pool 192.0.2.7 suspect", "shoutctl egress pool 192.0.2.7 good --weight 10" } },
	{ "egress remove", "Mail no longer leaves from the address; what waits takes another.",
	  { "shoutctl egress remove 192.0.2.7" } },
	{ "token add",
	  "Makes a token for a program of an account, or (--all) for one that works on all accounts. It is shown this once; "
	  "only its hash is stored. read sees what an account is and does, trace what became of its mail, write changes "
	  "it. No token makes tokens, reads secrets or restores: that takes control.token.",
	  { "shoutctl token add --account k3m9x2p7qa --label crm \\\n"
	    "      --scope read --scope trace --until 2027-12-31",
	    "shoutctl token add --all --label dashboard --scope read" } },
	{ "token list", "Shows an account's tokens, or without one those for all accounts: what they may, and until when.",
	  { "shoutctl token list --account k3m9x2p7qa", "shoutctl token list" } },
	{ "token remove", "Ends a token of an account, or without one a token for all accounts, at once.",
	  { "shoutctl token remove w7h2k9c4tz --account k3m9x2p7qa" } },
	{ "person add",
	  "Adds a person of an account, or without --account one of the operator's people. A reader looks, a manager changes, "
	  "an owner also has people and tokens; support serves all accounts, a postmaster also the queue, an admin also "
	  "people. The person chooses a password by the link that is printed, once and within 7 days; the link is mailed, too, "
	  "where customers get mails (service.name, service.panel).",
	  { "shoutctl person add boss@provider.example --name 'The boss' --role admin",
	    "shoutctl person add anna@acme.example --account k3m9x2p7qa --name Anna \\\n"
	    "      --role owner --language it" } },
	{ "person list", "Shows who may log in for an account, or without one for the operator.",
	  { "shoutctl person list", "shoutctl person list --account k3m9x2p7qa" } },
	{ "person show", "Shows a person: the role, whether a password was chosen, and until when a link is valid.",
	  { "shoutctl person show anna@acme.example --account k3m9x2p7qa" } },
	{ "person change",
	  "Changes what is given. Another role, and a second factor that is taken away, end the person's sessions. The last "
	  "owner of an account and the last admin stay what they are.",
	  { "shoutctl person change anna@acme.example --account k3m9x2p7qa --role manager",
	    "shoutctl person change boss@provider.example --no-second-factor" } },
	{ "person remove", "The person's password and sessions count no more, from now on. The last owner and the last admin stay.",
	  { "shoutctl person remove anna@acme.example --account k3m9x2p7qa" } },
	{ "person invite",
	  "Makes a link anew, for who lost it or was too late: of 7 days, or of an hour for who has a password already. The "
	  "link before ends.",
	  { "shoutctl person invite anna@acme.example --account k3m9x2p7qa" } },
	{ "webhook add",
	  "Has a program told what becomes of the account's mail: a POST of JSON for each event of those named (accepted, held, "
	  "alerted, released, deferred, delayed, delivered, bounced, expired; with commas), signed with a secret that is shown "
	  "this once. What is not answered with 2xx is posted again, and what fails for control.webhooks.off is switched off. "
	  "A URL that leads to a private network is refused, unless control.webhooks.networks has it.",
	  { "shoutctl webhook add https://crm.example.net/mail --account k3m9x2p7qa \\\n"
	    "      --event bounced,expired,held" } },
	{ "webhook list", "Shows an account's webhooks.", { "shoutctl webhook list --account k3m9x2p7qa" } },
	{ "webhook show", "Shows a webhook of an account, and why it is off.",
	  { "shoutctl webhook show w7h2k9c4tz --account k3m9x2p7qa" } },
	{ "webhook change", "Changes a webhook's URL, its events, or both; the secret stays.",
	  { "shoutctl webhook change w7h2k9c4tz --account k3m9x2p7qa --event bounced",
	    "shoutctl webhook change w7h2k9c4tz https://crm.example.net/new --account k3m9x2p7qa" } },
	{ "webhook enable", "Posts to a webhook again that was off, with what happens from now on.",
	  { "shoutctl webhook enable w7h2k9c4tz --account k3m9x2p7qa" } },
	{ "webhook disable", "Posts no more to a webhook, until it is enabled.",
	  { "shoutctl webhook disable w7h2k9c4tz --account k3m9x2p7qa" } },
	{ "webhook remove", "Removes a webhook of an account.", { "shoutctl webhook remove w7h2k9c4tz --account k3m9x2p7qa" } },
	{ "webhook test", "Posts an event test to a webhook, and shows the answer. Nothing is tried again.",
	  { "shoutctl webhook test w7h2k9c4tz --account k3m9x2p7qa" } },
	{ "webhook tries", "Shows a webhook's last 50 posts, the newest first: what was answered, or why there was no answer.",
	  { "shoutctl webhook tries w7h2k9c4tz --account k3m9x2p7qa" } },
	{ "trace",
	  "Shows what became of messages, the newest first: to each recipient accepted, held, released, deferred, "
	  "delivered, bounced or expired. All that is given must match; --domain is the recipient's. With --id alone "
	  "every attempt is shown, with the remote's reply and what the reply means. The trace goes back as far as "
	  "control.trace_keep says, and follows the events within a second or two.",
	  { "shoutctl trace --recipient someone@example.org --since 2d", "shoutctl trace --account k3m9x2p7qa --state deferred",
	    "shoutctl trace --id 01jdq4v0m3e8k5r2t7w9y1b6c0" } },
	{ "open",
	  "Lists accepted messages that have reached no end, the oldest first. Unless --older is given, those that are older "
	  "than sender.lifetime: beside held mail there should be none.",
	  { "shoutctl open", "shoutctl open --older 4h --account k3m9x2p7qa" } },
	{ "backup",
	  "Writes accounts, deleted ones too, people, tokens, rules, suspensions and the owner id into a file, as they are at one moment; "
	  "no mail, which would go out twice when it came back. Keep the configuration, its certificates and keys beside "
	  "it. - is standard output.",
	  { "shoutctl backup shout-$(date +%F).jsonl" } },
	{ "restore",
	  "Puts a backup into a relay that has no accounts, and Redis in line with it. Passwords and the owner id are those "
	  "of the backup, so the relay's own Redis is taken as it is. It may be repeated after it was cut off. - is "
	  "standard input.",
	  { "shoutctl restore shout-2026-11-30.jsonl" } },
	{ "rebuild",
	  "Writes all accounts into Redis anew and removes what does not belong there. Redis is told of changes "
	  "anyway: this is for a Redis that was emptied or restored by hand.",
	  { "shoutctl rebuild" } },
};
/* clang-format on */

const struct manual *
manual_find(const char *command)
{
	for (size_t i = 0; i < sizeof manuals / sizeof *manuals; i++)
		if (strcmp(manuals[i].name, command) == 0)
			return &manuals[i];
	return NULL;
}
