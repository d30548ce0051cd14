/* Values as the application sees them, and their way to and from base's. */
#include "client/client_int.h"

#include <string.h>

/* The two are one layout, so that moving between them is a copy. */
_Static_assert(sizeof(vc_value) == sizeof(struct value), "vc_value is struct value");
_Static_assert(offsetof(vc_value, text.bytes) == offsetof(struct value, text.bytes), "text");
_Static_assert(offsetof(vc_value, vector.dim) == offsetof(struct value, vector.dim), "vector");
_Static_assert((int)VC_NULL == (int)TYPE_NULL && (int)VC_VECTOR == (int)TYPE_VECTOR &&
                   VC_VECTOR + 1 == (int)TYPE_COUNT,
               "a vc_type for each type");

vc_value value_to_client(struct value v)
{
    vc_value out;
    memcpy(&out, &v, sizeof(out));
    return out;
}

struct value value_of_client(vc_value v)
{
    struct value out;
    memcpy(&out, &v, sizeof(out));
    return out;
}

vc_value vc_null(void)
{
    return value_to_client(value_null());
}

vc_value vc_bool(bool x)
{
    return value_to_client(value_bool(x));
}

vc_value vc_int(int64_t x)
{
    return value_to_client(value_int(x));
}

vc_value vc_float(double x)
{
    return value_to_client(value_float(x));
}

vc_value vc_string(const char *text)
{
    return value_to_client(value_text(text, strlen(text)));
}

vc_value vc_vector(const float *data, uint32_t dim)
{
    return value_to_client(value_vector(data, dim));
}

const char *vc_type_name(vc_type type)
{
    return (unsigned)type < TYPE_COUNT ? type_name((enum value_type)type) : "UNKNOWN";
}

const char *vc_version(void)
{
    return VECTROND_VERSION;
}
