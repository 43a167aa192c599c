/* Debian's sshd can check passwords with Kerberos, which is off unless somebody turns it on. Here it stays off. */

/* KRB5_KDC_UNREACH of krb5.h: no KDC can be asked. */
#define UNREACHABLE(name)        \
	int name(void)                 \
	{                              \
		return (int)0x96c73a9c;      \
	}
#define NOTHING_TO_FREE(name)    \
	void name(void)                \
	{                              \
	}

UNREACHABLE(krb5_cc_close)
UNREACHABLE(krb5_cc_destroy)
UNREACHABLE(krb5_cc_get_principal)
UNREACHABLE(krb5_cc_initialize)
UNREACHABLE(krb5_cc_resolve)
UNREACHABLE(krb5_cc_store_cred)
UNREACHABLE(krb5_get_init_creds_password)
UNREACHABLE(krb5_init_context)
UNREACHABLE(krb5_parse_name)
UNREACHABLE(krb5_sname_to_principal)
UNREACHABLE(krb5_unparse_name)
UNREACHABLE(krb5_verify_init_creds)
NOTHING_TO_FREE(krb5_free_context)
NOTHING_TO_FREE(krb5_free_error_message)
NOTHING_TO_FREE(krb5_free_principal)
NOTHING_TO_FREE(krb5_free_unparsed_name)

/* Nobody's ticket opens an account. */
int krb5_kuserok(void)
{
	return 0;
}

const char *krb5_get_error_message(void)
{
	return "there is no Kerberos on this box";
}

const char *krb5_cc_get_name(void)
{
	return "";
}
