# `module export …`, `module export-container …` and `ml export-container …` for zsh.
# Put into a shell by:  source <(module-export hook zsh)   after Lmod's own start-up file.
#
# Our words are looked at inside the functions that are there already, in front of their own text.
# Sourcing it again changes nothing.
zmodload zsh/parameter
__module_export_hook() {
    emulate -L zsh
    local program=@MODULE_EXPORT@ name words text
    # a shell that inherited Lmod's variables without its functions
    if (( ! ${+functions[module]} )) && [[ -x ${LMOD_CMD-} ]]; then
        functions[module]='eval "$("$LMOD_CMD" zsh "$@")"'
    fi
    for name in module ml; do
        (( ${+functions[$name]} )) || continue
        text=${functions[$name]}
        [[ $text != *"${(qq)program} container"* ]] || continue
        words="export-container) shift; ${(qq)program} container \"\$@\"; return ;;"
        if [[ $name == module ]]; then
            words+=" export) shift; ${(qq)program} \"\$@\"; return ;;"
        fi
        functions[$name]="case \${1-} in $words esac; { $text"$'\n'"}"
    done
    typeset -g __module_export_lmod=${LMOD_CMD-}
}

# Another Lmod initialised later (EESSI's, a container's) brings functions without our words: seen before
# the next prompt by its LMOD_CMD.
__module_export_follow() {
    [[ ${LMOD_CMD-} == "${__module_export_lmod-}" ]] || __module_export_hook
}

__module_export_hook
if [[ -o interactive ]]; then
    autoload -Uz add-zsh-hook && add-zsh-hook precmd __module_export_follow
else
    unfunction __module_export_hook __module_export_follow
    unset __module_export_lmod
fi
