/*
 * Debian's ssh and sshd can log in by GSSAPI, which is off unless somebody turns it on. Here it stays off:
 * every call says so, and the image is spared five libraries of Kerberos (0.6 MB packed).
 */

/* RFC 2744 section 3.9.1: GSS_S_UNAVAILABLE. */
#define UNAVAILABLE(name)        \
	unsigned name(void)            \
	{                              \
		return 16u << 16;            \
	}

UNAVAILABLE(gss_accept_sec_context)
UNAVAILABLE(gss_acquire_cred)
UNAVAILABLE(gss_add_oid_set_member)
UNAVAILABLE(gss_compare_name)
UNAVAILABLE(gss_create_empty_oid_set)
UNAVAILABLE(gss_delete_sec_context)
UNAVAILABLE(gss_display_name)
UNAVAILABLE(gss_display_status)
UNAVAILABLE(gss_export_name)
UNAVAILABLE(gss_get_mic)
UNAVAILABLE(gss_import_name)
UNAVAILABLE(gss_indicate_mechs)
UNAVAILABLE(gss_init_sec_context)
UNAVAILABLE(gss_inquire_cred)
UNAVAILABLE(gss_inquire_cred_by_mech)
UNAVAILABLE(gss_krb5_copy_ccache)
UNAVAILABLE(gss_release_buffer)
UNAVAILABLE(gss_release_cred)
UNAVAILABLE(gss_release_name)
UNAVAILABLE(gss_release_oid_set)
UNAVAILABLE(gss_test_oid_set_member)
UNAVAILABLE(gss_verify_mic)

/* Kinds of names (RFC 2744 section 4.8): copied into the program when it starts, and never looked at. */
void *GSS_C_NT_USER_NAME = 0;
void *GSS_C_NT_HOSTBASED_SERVICE = 0;
