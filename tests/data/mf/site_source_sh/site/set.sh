export FROM_SCRIPT=yes; export PATH=/script:$PATH
