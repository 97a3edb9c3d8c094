load{"b",mode={"unload"}}
