--- The version of the module.
return "0.1.0"
