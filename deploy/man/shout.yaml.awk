# shout.yaml(5) from deploy/shout.yaml: an item for each key, under the heading of its section.
#
#   awk -v version=V -v date=D -f shout.yaml.awk deploy/shout.yaml

function roff(text) {
	gsub(/\\/, "\\e", text)
	gsub(/-/, "\\-", text)
	return text ~ /^[.']/ ? "\\&" text : text
}

# Ends an item: what it is, its default, and whether a reload is enough.
function finish() {
	if (key == "")
		return
	sub(/:$/, "", about)
	if (about != "")
		printf "%s%s\n", roff(about), about ~ /[.!?]$/ ? "" : "."
	if (about ~ /(^|; )required/)
		value = ""
	else if (value == "~")
		print "Not set by default."
	else
		printf "Default:\n.BR %s .\n", roff(value)
	if (live)
		print "SIGHUP changes this."
	key = ""
}

BEGIN {
	printf ".TH SHOUT.YAML 5 \"%s\" \"Shout %s\" \"Shout\"\n", date, version
	print ".SH NAME\nshout.yaml \\- the settings of Shout"
	print ".SH SYNOPSIS\n.B /etc/shout/shout.yaml"
	print ".SH DESCRIPTION"
	print "Shout and shoutctl read this file of YAML, or the one that"
	print ".B \\-c\nnames.\n.B shout check\ntries all that stands in it."
	print "~ means that a key is not set; a key with a default may be left out."
	print "Durations: 500ms, 30s, 5m, 4h, 5d. Sizes: 4096, 256k, 50M, 2G."
	print "What SIGHUP changes needs no restart"
	print "(\n.BR \"systemctl reload shout\" );\nthe rest does."
	print ".SH OF THE PROCESS"
}

/^# / && NR <= 3 { next } # said above

# A comment alone: it goes on with the key before, or is about the keys below.
/^ +# [^-]/ && key != "" && !/^ +#   [a-z_]+: / {
	text = $0
	sub(/^ +# /, "", text)
	about = about " " text
	next
}
/^# / { sub(/^# /, ""); finish(); printf ".PP\n%s\n", roff($0); next }
/^$/ { finish(); next }

{
	finish()
	line = $0
	element = line ~ /^ +#( -|  ) /
	sub(/#( -|  )/, "   ", line)
	match(line, /^ */)
	depth = RLENGTH
	line = substr(line, depth + 1)
	live = line ~ / #\+/
	about = ""
	if (match(line, / +#\+? ?/)) {
		about = substr(line, RSTART + RLENGTH)
		line = substr(line, 1, RSTART - 1)
	}
	name = line
	sub(/:.*/, "", name)
	value = substr(line, length(name) + 2)
	gsub(/^ +| +$/, "", value)
	if (depth == 0) {
		path[0] = name
		prefix = ""
	} else if (element)
		prefix = list "[]."
	else if (depth == 2) {
		path[1] = name
		prefix = path[0] "."
	} else
		prefix = path[0] "." path[1] "."
	if (value == "") { # a section
		if (depth == 0) {
			printf ".SH %s\n", toupper(name)
		}
		if (depth == 0 && about != "")
			printf "%s.\n", roff(about)
		else if (about != "")
			printf "%s.BR %s :\n%s.\n", headed ? "" : ".PP\n", roff(prefix name), roff(about)
		headed = depth == 0
		next
	}
	headed = 0
	key = prefix name
	if (!element)
		list = key
	printf ".TP\n.B %s\n", roff(key)
}

END {
	finish()
	print ".SH SEE ALSO\n.BR shout (8),\n.BR shoutctl (1)"
}
