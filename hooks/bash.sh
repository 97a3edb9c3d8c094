# `module export …`, `module export-container …` and `ml export-container …` for bash.
# Put into a shell by:  source <(module-export hook bash)   after Lmod's own start-up file.
#
# Our words are looked at inside the functions that are there already, in front of their own text: they
# stay whole, so exported functions work in child shells too. Sourcing it again changes nothing.
__module_export_hook() {
    local program=@MODULE_EXPORT@ quoted name words text attributes
    printf -v quoted %q "$program"
    # a shell that inherited Lmod's variables without its functions
    if ! declare -F module >/dev/null && [[ -x ${LMOD_CMD-} ]]; then
        module() { eval "$("$LMOD_CMD" bash "$@")"; }
    fi
    for name in module ml; do
        text=$(declare -f "$name") || continue
        [[ $text != *"$quoted container"* ]] || continue
        words="export-container) shift; $quoted container \"\$@\"; return ;;"
        if [[ $name == module ]]; then
            words+=" export) shift; $quoted \"\$@\"; return ;;"
        fi
        attributes=$(declare -pF "$name")
        eval "$name() { case \${1-} in $words esac; ${text#*\(\)}; }"
        # as Lmod left it: exported, but where a site turned that off
        if [[ $attributes == 'declare -fx'* ]]; then
            export -f "${name?}"
        fi
    done
    __module_export_lmod=${LMOD_CMD-}
}

# Another Lmod initialised later (EESSI's, a container's) brings functions without our words: seen before
# the next prompt by its LMOD_CMD.
__module_export_follow() {
    local status=$?
    [[ ${LMOD_CMD-} == "${__module_export_lmod-}" ]] || __module_export_hook
    return "$status"
}

__module_export_hook
if [[ $- == *i* ]]; then
    case ${PROMPT_COMMAND[*]-} in
        *__module_export_follow*) ;;
        *) PROMPT_COMMAND="__module_export_follow${PROMPT_COMMAND:+; $PROMPT_COMMAND}" ;;
    esac
else
    unset -f __module_export_hook __module_export_follow
    unset __module_export_lmod
fi
