# shoutctl(1) from shoutctl's own help: the page of all commands, then the page of each.
#
#   (shoutctl --help; for each command: shoutctl COMMAND --help) | awk -v version=V -v date=D -f shoutctl.awk
#
# A page of help has sections in capitals. An item is "    NAME", and its text from column 33 on.

function roff(text) {
	gsub(/\\/, "\\e", text)
	gsub(/-/, "\\-", text)
	return text ~ /^[.']/ ? "\\&" text : text
}

function item(line) {
	if (length(line) > 32 && substr(line, 32, 1) == " " && substr(line, 33, 1) != " ") {
		name = substr(line, 5, 28)
		sub(/ +$/, "", name)
		printf ".TP\n.B %s\n%s\n", roff(name), roff(substr(line, 33))
	} else
		printf ".TP\n.B %s\n", roff(substr(line, 5))
}

BEGIN {
	printf ".TH SHOUTCTL 1 \"%s\" \"Shout %s\" \"Shout\"\n", date, version
	all = 1
}

/^NAME$/ && pages++ { all = 0 }
/^[A-Z][A-Z ]*$/ {
	if (section == "EXAMPLES")
		print ".fi\n.RE"
	section = $0
	every = 0
	if (all)
		printf ".SH %s\n", $0
	else if (section == "EXAMPLES")
		print ".PP\nExamples:\n.PP\n.RS 4\n.nf"
	next
}
/^$/ { next }

# The head of the page of one command: its name, and its words and needed options.
!all && section == "NAME" {
	if (pages == 2)
		print ".SH EACH COMMAND"
	sub(/^ *shoutctl /, "")
	sub(/ - .*/, "")
	printf ".SS %s\n", roff($0)
	next
}
section == "SYNOPSIS" {
	sub(/^ */, "")
	if (!all)
		sub(/\[-c FILE.*FILE\] /, "")
	if (all && /^shoutctl/ && lines++)
		print ".br"
	printf ".B %s\n", roff($0)
	next
}
section == "DESCRIPTION" {
	sub(/^ */, "")
	printf "%s%s\n", described[pages]++ ? "" : ".PP\n", roff($0)
	next
}
section == "EXAMPLES" { print roff(substr($0, 5)); next }
section == "EXIT STATUS" {
	if (all)
		printf ".TP\n.B %s\n%s\n", $1, roff(substr($0, 9))
	next
}
section == "NAME" { sub(/^ */, ""); sub(/ - /, " \\- "); print; next }

# Options of every command stand once, on the page of all commands.
!all && /^    -c FILE/ { every = 1; next }
!all && /^    \(\*\)/ { sub(/^ */, ""); printf ".PP\n%s\n", roff($0); next }
every { next }
/^    [^ ]/ { item($0); next }
{ sub(/^ */, ""); print roff($0) }

END {
	if (section == "EXAMPLES")
		print ".fi\n.RE"
	print ".SH SEE ALSO\n.BR shout (8),\n.BR shout.yaml (5)"
}
