/* What went wrong with an exchange, in our terms. */
#ifndef CAT_FAULT_H
#define CAT_FAULT_H

#include "client.h"

#include <stdbool.h>

typedef struct {
    const char *kind, *what; /* what happened, and what to do */
    bool passes;             /* the same request may succeed a little later */
    bool whole;              /* libcurl's words would add nothing */
    bool of_proxy;           /* it is between us and the proxy */
} cat_fault;

/* Why an exchange that is done has no reply. */
cat_fault cat_fault_of(const cat_client *client, const cat_easy *easy);

/* Whether it is for want of memory, which raises. */
bool cat_fault_of_memory(const cat_easy *easy);

#endif
