# `module export …`, `module export-container …` and `ml export-container …` for fish.
# Put into a shell by:  module-export hook fish | source   after Lmod's own start-up file.
#
# The functions that are there already go on under another name; ours take the words as they are, where
# Lmod's would split and expand them again. Sourcing it again changes nothing.
set -g __module_export_program @MODULE_EXPORT@

function __module_export_hook
    # a shell that inherited Lmod's variables without its functions
    if not functions -q module; and test -x "$LMOD_CMD"
        function module
            eval $LMOD_CMD fish $argv | source -
        end
    end
    for name in module ml
        functions -q $name; or continue
        functions $name | string match -q '*__module_export_program*'; and continue
        functions -q __module_export_of_$name; and functions -e __module_export_of_$name
        functions -c $name __module_export_of_$name
        __module_export_define_$name
    end
end

function __module_export_define_module
    function module
        set -l word "$argv[1]"
        switch "$word"
            case export
                set -e argv[1]
                $__module_export_program $argv
            case export-container
                set -e argv[1]
                $__module_export_program container $argv
            case '*'
                __module_export_of_module $argv
        end
    end
end

function __module_export_define_ml
    function ml
        if test "$argv[1]" = export-container
            set -e argv[1]
            $__module_export_program container $argv
        else
            __module_export_of_ml $argv
        end
    end
end

# Another Lmod initialised later (EESSI's, a container's) brings functions without our words.
function __module_export_follow --on-event fish_prompt
    __module_export_hook
end

__module_export_hook
