hide{name="a/2",userA={5}}
