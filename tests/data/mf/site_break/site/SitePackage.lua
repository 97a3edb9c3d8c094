sandbox_registration{ only_if = function(what) if not what then LmodBreak("not here") end end }
