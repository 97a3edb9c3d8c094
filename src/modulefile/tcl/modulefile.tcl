# What modulefiles may call.

namespace eval ::command {}

proc ::command::setenv_options {args} {
    set words [::host::options $args]
    foreach {name value} [list [lindex $words 0] [lindex $words 1]] break
    if {$::host::mode eq "load"} { ::host::set_variable $name $value }
    if {$respect eq "true"} {
        ::host::record modes setenv $modes $name $value true
    } elseif {[::host::one_mode $modes]} {
        ::host::record call setenv $name $value
    } else {
        ::host::record modes setenv $modes $name $value
    }
}

proc ::command::setenv_plain {name value args} {
    if {$name in {-respect -r --respect}} {
        # Lmod passes its own option over, and with it the name.
        ::host::record call setenv [lindex $args 0] [lindex $args 1] true
        return
    }
    if {$::host::mode eq "load"} { ::host::set_variable $name $value }
    ::host::record call setenv $name $value
}

proc ::host::unset_variable {name value} {
    variable mode
    if {$mode eq "load"} {
        need_environment $name
        touch env $name unset
        if {[info exists ::env($name)]} { unset ::env($name) }
    } elseif {$mode eq "remove" && $value ne {}} {
        set_variable $name $value
    }
}

proc ::command::unsetenv_options {args} {
    set words [::host::options $args]
    set name [lindex $words 0]
    ::host::unset_variable $name [lindex $words 1]
    if {[::host::one_mode $modes]} {
        ::host::record call unsetenv $name
    } else {
        ::host::record modes unsetenv $modes $name [lindex $words 1]
    }
}

proc ::command::unsetenv_plain {name {value {}}} {
    ::host::unset_variable $name $value
    ::host::record call unsetenv $name $value
}

proc ::command::pushenv_options {args} {
    set words [::host::options $args]
    foreach {name value} [list [lindex $words 0] [lindex $words 1]] break
    ::host::set_variable $name $value
    if {[::host::one_mode $modes]} {
        ::host::record call pushenv $name $value
    } else {
        ::host::record modes pushenv $modes $name $value
    }
}

proc ::command::pushenv_plain {name value} {
    ::host::set_variable $name $value
    ::host::record call pushenv $name $value
}

proc ::host::path_options {function args} {
    set words [options $args]
    foreach {name value priority} [list [lindex $words 0] [lindex $words 1] [lindex $words 2]] break
    if {[string match $priority {}]} { set priority 0 }
    record path $function $modes $name $value $separator $priority
}

proc ::host::path_plain {function name value args} {
    if {[string match --delim=* $name]} {
        set separator [string range $name 8 end]
        set words [linsert $args 0 $value]
    } elseif {$name in {-delim -d --delim}} {
        set separator $value
        set words $args
    } else {
        set separator :
        set words [linsert $args 0 $name $value]
    }
    foreach {name value priority} [list [lindex $words 0] [lindex $words 1] [lindex $words 2]] break
    if {[string match $priority {}]} { set priority 0 }
    record path $function normal $name $value $separator $priority
}

proc ::command::getenv {name} {
    ::host::need_environment $name
    if {[info exists ::env($name)]} { return $::env($name) }
    return {}
}

proc ::command::set-alias {name value} { ::host::record call set_alias $name $value }
proc ::command::unset-alias {name} { ::host::record call unset_alias $name }
proc ::command::set-function {name value} { ::host::record call set_shell_function $name $value {} }
proc ::command::unset-function {name} { ::host::record call unset_shell_function $name {} {} }
proc ::command::add-property {name value} { ::host::record call add_property $name $value }
proc ::command::remove-property {name value} { ::host::record call remove_property $name $value }
proc ::command::family {name} { ::host::record call family $name }
proc ::command::require-fullname {} { ::host::record call requireFullName }
proc ::command::haveDynamicMPATH {} { ::host::record call haveDynamicMPATH }
proc ::command::report {message} { ::host::record long LmodMessage $message }
proc ::command::reportError {message} { ::host::record error $message 0 }
proc ::command::module-help {args} { ::host::record long help [join $args] }

proc ::host::listed {function args} { record call $function {*}$args }

proc ::command::module-whatis {args} {
    set text [string map [list \n " "] [join $args " "]]
    ::host::record long whatis [string trimright $text]
}

proc ::command::complete {shell name args} { ::host::record complete $shell $name {*}$args }

proc ::command::extensions {args} {
    if {![llength $args]} { return }
    set words {}
    foreach word $args { lappend words [::host::escaped $word] }
    ::host::record call extensions {*}[::host::again [join $words ,]]
}

proc ::command::exit {{code 1}} { ::host::record call os.exit {*}[::host::again $code] }
proc ::command::myBreak {args} { ::host::record call LmodBreak {} }
proc ::command::initGA {} { ::host::forget }
proc ::command::setPutMode {value} { return $value }
proc ::command::showResults {} {}

proc ::command::versioncmp {one other} {
    if {$one eq $other} { return 0 }
    return [expr {[lindex [lsort -dictionary [list $one $other]] 0] eq $one ? -1 : 1}]
}

proc ::command::is-loaded {name} { return [::host::ask loaded $name] }

proc ::command::is-avail {name} { return [::host::ask available $name] }

proc ::command::module-info {what {more {}}} {
    switch -- $what {
        mode {
            if {$more ne {}} { return [expr {$::host::mode == $more}] }
            return $::host::mode
        }
        shell {
            if {$more ne {} && [::host::since shell]} { return [expr {$more eq "bash"}] }
            return bash
        }
        shelltype { return sh }
        flags { return 0 }
        name { return $::host::full_name }
        user - symbols { return [expr {$more ne {} ? 0 : {}}] }
        specified { return $::host::user_name }
        version {
            regexp {([^/]*)/?(.*)} $more all name version
            if {$version eq {}} { set version default }
            return $name/$version
        }
    }
    error "module-info $what not supported"
}

proc ::command::system {args} {
    if {$::host::mode ne "load"} { return {} }
    set text [join $args]
    ::host::need_environment
    if {[::host::since no-commands]} { ::host::refuse system $text }
    ::host::note system $text
    if {[catch {exec /bin/sh -c $text}]} { return [lindex $::errorCode 2] }
    return 0
}

proc ::command::uname {what} {
    switch -- $what {
        sysname { return $::tcl_platform(os) }
        machine { return $::tcl_platform(machine) }
        nodename - node { return [info hostname] }
        release { return $::tcl_platform(osVersion) }
        domain { return [::host::run /bin/domainname] }
        version { return [::host::run /bin/uname -v] }
        default { return {} }
    }
}

proc ::command::puts {args} {
    set usage {puts ?-nonewline? ?channel? text}
    set same_line 0
    set channel stdout
    set text [lindex $args end]
    switch [llength $args] {
        1 {}
        2 {
            if {[lindex $args 0] eq "-nonewline"} {
                set same_line 1
            } else {
                set channel [lindex $args 0]
            }
        }
        3 {
            set same_line 1
            if {[lindex $args 0] eq "-nonewline"} {
                set channel [lindex $args 1]
            } elseif {[lindex $args 1] eq "-nonewline"} {
                set channel [lindex $args 0]
            } else {
                error $usage
            }
        }
        default { error $usage }
    }
    if {!$same_line && $channel ne "stdout"} { append text \n }
    ::host::record puts $channel $text
}

# ---- the command `module`

proc ::host::load_words {function words} {
    if {[since options]} {
        set rest [options $words]
        record modes $function $modes {*}[again_all $rest]
    } else {
        record call $function {*}$words
    }
}

proc ::host::unload_words {words} {
    variable mode
    load_words [expr {$mode eq "remove" ? "load" : "unload"}] $words
}

proc ::host::swap_words {old {new {}}} {
    if {$new eq {}} { set new $old }
    record call unload {*}[again $old]
    record call load {*}[again $new]
}

proc ::host::use_words {words} {
    set function prepend_path
    foreach word $words {
        switch -- $word {
            {} {}
            --append - -a - -append { set function append_path }
            --prepend - -p - -prepend { set function prepend_path }
            default { record call $function MODULEPATH {*}[again $word] }
        }
    }
}

proc ::command::module {command args} {
    switch -- $command {
        load - add { ::host::load_words load $args }
        load-any { ::host::load_words load_any $args }
        try-load - try-add { ::host::load_words try_load $args }
        unload - del - rm { ::host::unload_words $args }
        swap - switch { ::host::swap_words {*}$args }
        use { ::host::use_words $args }
        unuse {
            foreach word $args { ::host::record call remove_path MODULEPATH {*}[::host::again $word] }
        }
        purge {
            if {![::host::since unknown]} { return }
            if {[llength $args]} { error {wrong # args: should be "purge"} }
            ::host::record call purge
        }
        default {
            if {[::host::since unknown]} {
                ::host::record error "Unknown module command: $command -> exitting" 0
            }
        }
    }
}

# ---- which command stands for which

proc ::host::commands {} {
    set names {
        add-property complete exit extensions family initGA is-loaded is-avail module module-info
        module-whatis myBreak puts remove-property reportError require-fullname set-alias
        set-function setPutMode showResults system uname unset-alias unset-function versioncmp
    }
    set pairs {}
    foreach name $names { lappend pairs $name ::command::$name }
    lappend pairs myPuts ::command::puts
    set form [expr {[since options] ? "options" : "plain"}]
    foreach name {setenv unsetenv pushenv} { lappend pairs $name ::command::${name}_$form }
    foreach {name function} {
        prepend-path prepend_path append-path append_path remove-path remove_path
    } {
        lappend pairs $name [list ::host::path_$form $function]
    }
    foreach {name function} {
        always-load always_load conflict conflict depends-on depends_on
        prereq prereq_any prereq-any prereq_any
    } {
        lappend pairs $name [list ::host::listed $function]
    }
    if {[since any]} { lappend pairs depends-on-any {::host::listed depends_on_any} }
    foreach {feature name} {
        getenv getenv dynamic haveDynamicMPATH help module-help help report
    } {
        if {[since $feature]} { lappend pairs $name ::command::$name }
    }
    return $pairs
}

