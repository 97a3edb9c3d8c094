# What rc files may call.

namespace eval ::rc {}

proc ::rc::module-version {args} {
    if {[llength $args] < 2} { error {can't read "argL": no such variable} }
    ::host::record version {*}$args
}
proc ::rc::module-alias {name target} { ::host::record rc module_alias $name $target }
proc ::rc::module-virtual {name target} { ::host::record rc module_virtual $name $target }
proc ::rc::hide-version {name} { ::host::record rc hide_version $name }
proc ::rc::hide-modulefile {name} { ::host::record rc hide_modulefile $name }

# Conditions as key and value, then the names.
proc ::rc::conditions {words} {
    set found [dict create]
    set names {}
    set key {}
    foreach word $words {
        if {$key ne {}} {
            dict set found $key $word
            set key {}
            continue
        }
        switch -- $word {
            --before - --after - --user - --group - --not-user - --not-group -
            --message - --nearly-message { set key [string range $word 2 end] }
            --hard - --soft { dict set found kind [string range $word 2 end] }
            --hidden-loaded { dict set found hidden-loaded true }
            default { lappend names $word }
        }
    }
    return [list $found $names]
}

proc ::rc::conditional {function kind args} {
    foreach {found names} [conditions $args] break
    if {$kind ne {} && ![dict exists $found kind]} { dict set found kind $kind }
    foreach name $names { ::host::record conditional $function $name {*}$found }
}

proc ::rc::nothing {args} {}

proc ::rc::own {what command} {
    upvar ::host::identity identity
    # A second question gets the name of Lmod's own variable.
    if {[info exists identity($what)]} { return ::g_states($what) }
    ::host::need_environment
    set identity($what) [::host::run {*}$command]
    return $identity($what)
}

proc ::rc::module-info {what {more {}}} {
    switch -- $what {
        username {
            set own [own username {id -u -n}]
            if {$more eq {}} { return $own }
            return [expr {$own eq $more}]
        }
        usergroups {
            set own [own usergroups {id -G -n}]
            if {$more eq {}} { return $own }
            return [expr {$more in $own}]
        }
    }
    error "module-info $what not supported"
}

proc ::rc::puts {args} {
    set words $args
    if {[lindex $words 0] eq "-nonewline"} { set words [lrange $words 1 end] }
    if {[llength $words] == 1 || [lindex $words 0] eq "stdout"} {
        ::host::record printed [lindex $words end]
    }
}

# Nothing comes after it, so this process ends as well; the answer says how.
proc ::rc::exit {{code 0}} {
    if {![string is integer -strict $code]} { error "expected integer but got \"$code\"" }
    ::host::record exited [expr {$code & 255}]
    ::host::answer
    ::exit
}

proc ::rc::commands {} {
    set pairs {puts ::rc::puts exit ::rc::exit}
    foreach name {module-version module-alias hide-version hide-modulefile} {
        lappend pairs $name ::rc::$name
    }
    foreach {feature name command} {
        rc-accepted module-hide ::rc::nothing
        rc-accepted module-forbid ::rc::nothing
        rc-hide module-hide {::rc::conditional hide hidden}
        rc-hide module-forbid {::rc::conditional forbid {}}
        rc-patterns module-hide-regex {::rc::conditional hideRegex {}}
        rc-patterns module-forbid-regex {::rc::conditional forbidRegex {}}
        rc-virtual module-virtual ::rc::module-virtual
        rc-info module-info ::rc::module-info
    } {
        if {[::host::since $feature]} { lappend pairs $name $command }
    }
    return $pairs
}

