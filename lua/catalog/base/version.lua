--- The version of the module.
return "1.0.0"
