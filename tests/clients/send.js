// send.js HOST PORT starttls|implicit CA USER PASSWORD SENDER RECIPIENT < message
// Without a user there is no AUTH. CA is a certificate that is trusted beside nodemailer's own.
"use strict";
const fs = require("fs");
const nodemailer = require("nodemailer");

const [host, port, kind, ca, user, pass, from, to] = process.argv.slice(2);
const transport = nodemailer.createTransport({
	host,
	port: Number(port),
	secure: kind === "implicit",
	requireTLS: true,
	tls: { ca: fs.readFileSync(ca) },
	auth: user ? { user, pass } : undefined,
});
transport
	.sendMail({ envelope: { from, to }, raw: fs.readFileSync(0) })
	.then((info) => console.log(info.response))
	.catch((error) => {
		console.error(error.message);
		process.exitCode = 1;
	});
