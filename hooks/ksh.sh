# `module export …`, `module export-container …` and `ml export-container …` for ksh93.
# Put into a shell by:  eval "$(module-export hook ksh)"   after Lmod's own start-up file.
#
# The functions that are there already go on under another name (ksh exports no functions, so child
# shells lose nothing). Sourcing it again changes nothing.
__module_export_hook() {
    # no `local` in a POSIX-style function of ksh93: these names are removed at the end
    __me_program=@MODULE_EXPORT@
    __me_quoted=$(printf %q "$__me_program")
    # a shell that inherited Lmod's variables without its functions
    if ! typeset -f module >/dev/null && [[ -x ${LMOD_CMD-} ]]; then
        module() { eval "$("$LMOD_CMD" ksh "$@")"; }
    fi
    for __me_name in module ml; do
        __me_text=$(typeset -f "$__me_name") || continue
        [[ $__me_text != *"$__me_quoted container"* ]] || continue
        case $__me_text in
            *__module_export_of_*) ;; # hooked before with another path
            *) eval "__module_export_of_${__me_text#"function "}" ;;
        esac
        __me_words="export-container) shift; $__me_quoted container \"\$@\" ;;"
        if [[ $__me_name == module ]]; then
            __me_words="$__me_words export) shift; $__me_quoted \"\$@\" ;;"
        fi
        eval "$__me_name() { case \${1-} in $__me_words *) __module_export_of_$__me_name \"\$@\" ;; esac; }"
    done
    unset __me_program __me_quoted __me_name __me_text __me_words
}
__module_export_hook
unset -f __module_export_hook
