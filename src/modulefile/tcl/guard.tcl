# What modulefiles may do outside of Tcl. They write no file, and start no command where none may
# run: in their interpreters, and in those that they make, this process stands in for the commands
# that could. None of these is merely hidden there, for what is hidden can be invoked.

namespace eval ::guard {
    # Subcommands of `file` that change files, or may.
    variable changing {atime attributes copy delete link mkdir mtime rename tempdir tempfile}
    # Others that write files, where this Tcl has them.
    variable writing {mkimg mkzip lmkimg lmkzip}
    # Name in an interpreter and what stands in for it, without the interpreter's path.
    variable stand_ins {open ::guard::open interp ::guard::interp}
    # Whether the subcommands of `file` are commands.
    variable ensemble [namespace ensemble exists ::file]

    if {$ensemble} {
        foreach name $changing {
            if {[info commands ::tcl::file::$name] ne {}} {
                lappend stand_ins ::tcl::file::$name [list ::guard::file $name]
            }
        }
    } else {
        lappend stand_ins file ::guard::file
    }
    foreach name $writing {
        if {[info commands ::tcl::zipfs::$name] ne {}} {
            lappend stand_ins ::tcl::zipfs::$name [list ::guard::zipfs $name]
        }
    }
}

# ---- interpreters

# Makes an interpreter of this path.
proc ::guard::create {path {safe {}}} {
    # A new interpreter reads its first commands where this says, before it is guarded.
    set library [array get ::env TCL_LIBRARY]
    if {[::host::since no-commands]} { unset -nocomplain ::env(TCL_LIBRARY) }
    set failed [catch {::interp create {*}$safe -- $path} message]
    array set ::env $library
    if {$failed} { error $message }
    if {[catch {keep $path} message]} {
        ::interp delete $path
        error $message
    }
}

proc ::guard::keep {path} {
    variable stand_ins
    set hidden [::interp hidden $path]
    foreach {name command} $stand_ins { replace $path $hidden $name [concat $command [list $path]] }
    if {[::host::since no-commands]} {
        foreach name {exec load socket} { replace $path $hidden $name [list ::host::refuse $name] }
        return
    }
    # Where no list of a modulefile's own commands and namespaces shows them.
    foreach name {exec load} {
        ::interp alias $path ::tcl::host_$name {} ::host::note_$name
        set is_hidden [expr {$name in $hidden}]
        if {$is_hidden} { ::interp expose $path $name }
        ::interp eval $path [list trace add execution $name enter ::tcl::host_$name]
        if {$is_hidden} { ::interp hide $path $name }
    }
}

# A safe interpreter has such commands as well, for those who may invoke what is hidden.
proc ::guard::replace {path hidden name command} {
    set token [string map {:: :} [string trimleft $name :]]
    if {$token in $hidden} {
        ::interp expose $path $token
        ::interp alias $path $token {} {*}$command
        ::interp hide $path $token
    } else {
        ::interp alias $path $name {} {*}$command
    }
}

# The only name of the list that begins so, or the word itself.
proc ::guard::whole {word names} {
    set found {}
    foreach name $names {
        if {$name eq $word} { return $word }
        if {[string equal -length [string length $word] $word $name]} { lappend found $name }
    }
    if {[llength $found] == 1} { return [lindex $found 0] }
    return $word
}

# An error of wrong use, with the command's name as modulefiles write it.
proc ::guard::as_called {message} { return [string map {{should be "::} {should be "}} $message] }

# `interp`, as it is called in the interpreter `base`.
proc ::guard::interp {base args} {
    ::host::note_interp
    set names {
        alias aliases bgerror cancel children create debug delete eval exists expose hidden hide
        invokehidden issafe limit marktrusted recursionlimit share slaves target transfer
    }
    set name [whole [lindex $args 0] $names]
    # Of a name that is not known nothing is passed on.
    set command [list interp_$name $base $name [lrange $args 1 end]]
    if {$name ni $names} { set command [linsert [lrange $args 0 0] 0 ::interp] }
    set code [catch $command result options]
    if {$code == 1} {
        set result [string map [list "\"$base " \" "\"$base\"" \"\"] $result]
        return -code error -errorcode [dict get $options -errorcode] [as_called $result]
    }
    dict incr options -level
    return -options $options $result
}

# Those whose first word is a path.
foreach name {
    bgerror children debug eval exists expose hidden hide invokehidden issafe marktrusted
    recursionlimit slaves
} {
    proc ::guard::interp_$name {base name words} {
        if {![llength $words]} {
            # Those that need words say so.
            if {$name ni {children hidden issafe slaves exists}} { return [::interp $name] }
            return [::interp $name $base]
        }
        set path [concat $base [lindex $words 0]]
        # A script may `break`.
        catch {::interp $name $path {*}[lrange $words 1 end]} result options
        dict incr options -level
        return -options $options $result
    }
}

proc ::guard::interp_limit {base name words} {
    if {[llength $words] && ![llength [lindex $words 0]]} {
        error "limits on current interpreter inaccessible"
    }
    ::interp limit {*}[lreplace $words 0 0 [concat $base [lindex $words 0]]]
}

proc ::guard::interp_create {base name words} {
    set safe {}
    set path {}
    set given 0
    set end 0
    foreach word $words {
        if {!$end && [string match -* $word]} {
            switch -- [whole $word {-safe --}] {
                -safe { set safe -safe }
                -- { set end 1 }
                default { error "bad option \"$word\": must be -safe or --" }
            }
        } elseif {$given} {
            error {wrong # args: should be "interp create ?-safe? ?--? ?path?"}
        } else {
            set path $word
            set given 1
        }
    }
    for {set number 0} {!$given && ($path eq {} || [::interp exists [concat $base $path]])} {} {
        set path interp$number
        incr number
    }
    if {[::interp issafe $base]} { set safe -safe }
    create [concat $base [expr {$path eq {} ? {{}} : $path}]] $safe
    return $path
}

proc ::guard::interp_delete {base name words} {
    foreach path $words {
        if {![llength $path]} { error "cannot delete the current interpreter" }
        ::interp delete [concat $base $path]
    }
}

proc ::guard::interp_alias {base name words} {
    if {[llength $words] < 2} { return [::interp alias {*}$words] }
    set path [concat $base [lindex $words 0]]
    set rest [lrange $words 1 end]
    if {[llength $rest] > 2} { lset rest 1 [concat $base [lindex $rest 1]] }
    ::interp alias $path {*}$rest
}

proc ::guard::interp_aliases {base name words} {
    variable stand_ins
    set own [concat [dict keys $stand_ins] {exec load socket}]
    set all {}
    foreach alias [::interp aliases [concat $base [lindex $words 0]]] {
        if {$alias ni $own && ![string match ::tcl::host_* $alias]} { lappend all $alias }
    }
    return $all
}

proc ::guard::interp_cancel {base name words} {
    set at 0
    foreach word $words {
        if {![string match -* $word]} { break }
        incr at
        if {$word eq "--"} { break }
    }
    set path [concat $base [lindex $words $at]]
    ::interp cancel {*}[lrange $words 0 $at-1] $path {*}[lrange $words $at+1 end]
}

foreach name {share transfer} {
    proc ::guard::interp_$name {base name words} {
        if {[llength $words] != 3} { return [::interp $name] }
        foreach {from channel to} $words break
        ::interp $name [concat $base $from] $channel [concat $base $to]
    }
}

proc ::guard::interp_target {base name words} {
    if {[llength $words] != 2} { return [::interp target] }
    foreach {path alias} $words break
    set target [::interp target [concat $base $path] $alias]
    set depth [llength $base]
    if {[lrange $target 0 $depth-1] eq $base} { return [lrange $target $depth end] }
    error "target interpreter for alias \"$alias\" in path \"$path\" is not my descendant"
}

# ---- commands

# Where no commands may run.
proc ::host::refuse {function args} {
    note $function [join $args]
    error "commands may not run"
}

# Runs what a command of Lmod's own runs. The environment is the modulefile's.
proc ::host::run {args} {
    if {[since no-commands]} { refuse exec {*}$args }
    return [exec {*}$args]
}

proc ::host::note_exec {command operation} {
    need_environment
    note exec [join [lrange $command 1 end]]
}

proc ::host::note_load {command operation} {
    note load [join [lrange $command 1 end]]
}

# ---- files

proc ::guard::write {function words} { ::host::record wrote $function [join $words] }

proc ::guard::zipfs {name path args} { write "zipfs $name" $args }

proc ::guard::posix {text code message {reason {}}} {
    if {$reason eq {}} { set reason $message }
    return -level 2 -code error -errorcode [list POSIX $code $message] "$text: $reason"
}

# Opens a file for an interpreter: to read, or in name only.
proc ::guard::open {path args} {
    if {[llength $args] < 1 || [llength $args] > 3} {
        error {wrong # args: should be "open fileName ?access? ?permissions?"}
    }
    foreach {name access} $args break
    if {[string index $name 0] eq "|"} {
        set channel [open_command $path $name [lrange $args 1 end]]
    } elseif {[is_reading $access]} {
        set channel [::open {*}$args]
    } else {
        set channel [open_nothing $name $access]
    }
    ::interp transfer {} $channel $path
    return $channel
}

proc ::guard::is_reading {access} {
    if {$access in {{} r rb}} { return 1 }
    if {[catch {llength $access}]} { return 0 }
    foreach word $access {
        if {$word ni {RDONLY BINARY NOCTTY NONBLOCK}} { return 0 }
    }
    return 1
}

proc ::guard::open_command {path name rest} {
    if {[::host::since no-commands]} { ::host::refuse open $name }
    ::host::need_environment
    ::host::note open $name
    # Channels of the interpreter that the command is to have.
    set shared {}
    foreach {all channel} [regexp -inline -all {@\s*([^\s@]+)} $name] {
        if {$channel in {stdin stdout stderr}} { continue }
        if {![catch {::interp share $path $channel {}}]} { lappend shared $channel }
    }
    set code [catch {::open $name {*}$rest} result options]
    foreach channel $shared { close $channel }
    return -options $options $result
}

# A channel that swallows what is written, where Lmod's would be opened.
proc ::guard::open_nothing {name access} {
    set creates [expr {![string match r* $access] && ($access ni {RDWR WRONLY})}]
    if {[catch {set flags [lsearch -all -inline -not -regexp $access {^(CREAT|EXCL|TRUNC)$}]}]} {
        set flags $access
    }
    set channel [::open /dev/null $flags]
    if {[string match {[A-Z]*} $access]} { set creates [expr {"CREAT" in $access}] }
    set exclusive [expr {$creates && [string match *EXCL* $access]}]
    set reason [why_not $name $creates $exclusive]
    if {[llength $reason]} {
        close $channel
        posix "couldn't open \"$name\"" {*}$reason
    }
    ::host::record wrote open $name
    return $channel
}

# Why a file cannot be written.
proc ::guard::why_not {name creates exclusive} {
    set parent [::file dirname $name]
    if {[::file isdirectory $name]} { return {EISDIR {illegal operation on a directory}} }
    if {[::file exists $name]} {
        if {$exclusive} { return {EEXIST {file already exists}} }
        if {![::file writable $name]} { return {EACCES {permission denied}} }
        return {}
    }
    if {!$creates || $name eq {} || ![::file exists $parent]} { return {ENOENT {no such file or directory}} }
    if {![::file isdirectory $parent]} { return {ENOTDIR {not a directory}} }
    if {![::file writable $parent]} { return {EACCES {permission denied}} }
    return {}
}

# `file`, of an interpreter: `words` are its path and what it is called with; where `file` is one
# command, the subcommand is among them.
proc ::guard::file {args} {
    variable ensemble
    variable changing
    if {$ensemble} {
        set words [lassign $args name path]
    } else {
        set words [lassign $args path name]
        set name [whole $name {
            atime attributes channels copy delete dirname executable exists extension isdirectory
            isfile join link lstat mkdir mtime nativename normalize owned pathtype readable readlink
            rename rootname separator size split stat system tail type volumes writable
        }]
        if {$name in {stat lstat} && [llength $words] == 2} {
            ::file $name [lindex $words 0] found
            ::interp eval $path [list array set [lindex $words 1] [array get found]]
            return {}
        }
        if {$name ni $changing} { return [::file $name {*}$words] }
    }
    if {[catch {file_$name $path $name $words} result options] == 1} {
        return -code error -errorcode [dict get $options -errorcode] [as_called $result]
    }
    return $result
}

foreach {name needs} {copy 1 rename 1 delete 0 mkdir 0} {
    proc ::guard::file_$name {path name words} [string map [list NEEDS $needs] {
        set files $words
        while {[string match -* [lindex $files 0]] && $name ne "mkdir"} {
            set option [lindex $files 0]
            if {$option ni {-force --}} { error "bad option \"$option\": must be -force or --" }
            set files [lrange $files 1 end]
            if {$option eq "--"} { break }
        }
        if {NEEDS} {
            if {[llength $words] < 2} { return [::file $name {*}$words] }
            if {[llength $files] < 2} { return [::file $name {*}$files] }
            set verb [string map {copy copying rename renaming} $name]
            foreach one [lrange $files 0 end-1] {
                if {[catch {::file lstat $one found}]} {
                    posix "error $verb \"$one\"" ENOENT {no such file or directory}
                }
            }
        }
        if {[llength $files]} { write "file $name" $words }
        return {}
    }]
}

foreach name {atime mtime} {
    proc ::guard::file_$name {path name words} {
        if {[llength $words] < 2} { return [::file $name {*}$words] }
        # The file must be there.
        ::file $name [lindex $words 0]
        write "file $name" $words
        return [lindex $words 1]
    }
}

proc ::guard::file_attributes {path name words} {
    if {[llength $words] <= 2} { return [::file attributes {*}$words] }
    set file [lindex $words 0]
    if {![::file exists $file]} {
        set what [string range [whole [lindex $words 1] {-group -owner -permissions}] 1 end]
        posix "could not set $what for file \"$file\"" ENOENT {no such file or directory}
    }
    write "file attributes" $words
    return {}
}

proc ::guard::file_link {path name words} {
    if {[llength $words] ni {2 3}} { return [::file link {*}$words] }
    foreach {link target} [lrange $words end-1 end] break
    if {![catch {::file lstat $link found}]} {
        posix "could not create new link \"$link\"" EEXIST {file already exists} \
            {that path already exists}
    }
    if {![::file exists [::file dirname $link]]} {
        posix "could not create new link \"$link\"" ENOENT {no such file or directory}
    }
    if {![::file exists [::file join [::file dirname $link] $target]]} {
        posix "could not create new link \"$link\"" ENOENT {no such file or directory} \
            "target \"$target\" doesn't exist"
    }
    write "file link" $words
    return $target
}

# A name that is no file's.
proc ::guard::temporary {} { return /tmp/tcl_[string range [expr {rand()}] 2 7] }

proc ::guard::file_tempfile {path name words} {
    set temporary [temporary]
    if {[llength $words]} { ::interp eval $path [list set [lindex $words 0] $temporary] }
    ::host::record wrote "file tempfile" $temporary
    set channel [::open /dev/null w+]
    ::interp transfer {} $channel $path
    return $channel
}

proc ::guard::file_tempdir {path name words} {
    set temporary [temporary]
    ::host::record wrote "file tempdir" $temporary
    return $temporary
}
