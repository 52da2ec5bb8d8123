limits = { [5] = 1, [true] = 2 }
 _ENV[5] = 1; _ENV[nil] = 1