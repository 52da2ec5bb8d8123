for i = 1, 1000000 do local t = {i}
 end
caches = {"a"}