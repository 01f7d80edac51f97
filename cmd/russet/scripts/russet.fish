# Completion of russet for fish.
function __russet_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    set -l found (command $words[1] $words[2..-1] "--generate-bash-completion=$word" 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path "$word"
    end
end
complete -c russet -f -a '(__russet_complete)'
