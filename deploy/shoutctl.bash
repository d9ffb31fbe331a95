# bash completion of shoutctl, from its own help: what is offered is what shoutctl takes.

# What stands behind an option in a page of help: FILE, credentials|ip ...; nothing for a switch.
_shoutctl_value() { # help option
	sed -n "/^OPTIONS/,/^$/ s/^    $2 \([^ ][^ ]*\).*/\1/p" <<<"$1"
}

_shoutctl() {
	local current= option= value line= help name
	local -a typed offered=()
	local -i at
	read -ra typed <<<"${COMP_LINE:0:COMP_POINT}"
	typed=("${typed[@]:1}")
	if ((${#typed[@]})) && [[ ${COMP_LINE:0:COMP_POINT} != *[[:space:]] ]]; then
		current=${typed[-1]}
		unset 'typed[-1]'
	fi
	if [[ $current == --*=* ]]; then
		option=${current%%=*} current=${current#*=}
	elif ((${#typed[@]})) && [[ ${typed[-1]} == -* ]]; then
		option=${typed[-1]}
		unset 'typed[-1]'
	fi
	help=$(shoutctl "${typed[@]}" --help 2>/dev/null) || return

	[[ $option == -[-a-z]* ]] && value=$(_shoutctl_value "$help" "$option") || value=
	if [[ $value == FILE ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
	elif [[ $value ]]; then
		[[ $value == *[a-z]* ]] && offered=(${value//|/ })
	elif [[ $current == -* ]]; then
		offered=($(sed -n '/^OPTIONS/,/^$/ s/^    \(--[a-z-]*\).*/\1/p' <<<"$help"))
	else
		for ((at = 0; at < ${#typed[@]}; at++)); do
			name=${typed[at]}
			if [[ $name != -* ]]; then
				line+="$name "
			elif [[ $name != *=* && $(_shoutctl_value "$help" "$name") ]]; then
				at+=1
			fi
		done
		while read -r name; do
			[[ $name == "$line"* ]] || continue
			name=${name#"$line"}
			case $name in
			FILE*) compopt -o default ;;
			[a-z]*) offered+=("${name%% *}") ;;
			esac
		done < <(shoutctl --help | sed -n '/^COMMANDS/,/^$/ s/^    \([^ ].*\)/\1/p')
	fi
	mapfile -t COMPREPLY < <(compgen -W "${offered[*]}" -- "$current" | sort -u)
}
complete -o filenames -F _shoutctl shoutctl
