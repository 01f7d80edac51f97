#compdef russet
# Completion of russet for zsh: sourced, or as _russet in a folder of $fpath.
_russet() {
    local line about
    local -a found
    for line in "${(@f)$("${(Q)words[1]}" "${(@Q)words[2,CURRENT-1]}" \
        --generate-bash-completion="${(Q)words[CURRENT]}" 2>/dev/null)}"; do
        about=${line#*$'\t'}
        [[ -n $line ]] && found+=("${${line%%$'\t'*}//:/\\:}${about:+:$about}")
    done
    if (( $#found )); then
        _describe -V russet found
    else
        _files
    fi
}
if [[ ${funcstack[1]} == _russet ]]; then
    _russet "$@"
else
    compdef _russet russet
fi
